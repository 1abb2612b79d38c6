"""What the simulated people write."""

REPLIES = (
    "Thanks, got it!",
    "How much is it?",
    "Can you call me tomorrow?",
    "谢谢，收到了",
    "请问多少钱？",
    "什么时候发货？",
    "Gracias, ¿cuánto cuesta?",
    "¿Tienen más colores?",
    "Спасибо, а доставка есть?",
    "Сколько стоит?",
    "شكراً، كم السعر؟",
    "ありがとうございます。送料はいくらですか？",
    "Merci ! C'est encore disponible ?",
    "Obrigado, quero saber mais",
    "Danke, ich überlege es mir 🙂",
    "감사합니다, 가격이 얼마예요?",
    "धन्यवाद, और जानकारी भेजें",
    "👍",
)

STOP_WORDS = (
    "STOP",
    "Stop",
    "unsubscribe",
    "退订",
    "TD",
    "BAJA",
    "СТОП",
    "إلغاء",
    "停止",
    "ARRÊT",
    "PARAR",
    "STOPP",
    "중지",
    "配信停止",
)

NAMES = ("Ana", "Wei 伟", "Олег", "ليلى", "Yuki", "Marie", "João", "Priya", "Sam", "민준")
