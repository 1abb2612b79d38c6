"""Stop and start words: every listed word is found as people write it, sentences are not."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.audience.consents import stop_words as module
from carillon.audience.consents.stop_words import Kind, StopWords, confirmation, detect, languages, stop_words

DATA = json.loads(Path(module.__file__).with_name("stop_words.json").read_text(encoding="utf-8"))
LISTED = [(language, kind, word) for language, words in DATA.items() for kind in Kind for word in words[kind]]
MUST = [
    "zh-Hans", "zh-Hant", "en", "es", "pt", "ar", "hi", "ru", "uk", "id", "ms", "fr", "de", "it", "nl",
    "pl", "tr", "vi", "th", "ja", "ko", "fa", "ur", "bn", "tl", "sw", "he", "el", "ro", "cs", "sv",
]  # fmt: skip


def kind(text: str) -> str | None:
    found = detect(text)
    return None if found is None else str(found.kind)


def language_of(text: str, hint: str | None = None, words: StopWords | None = None) -> str:
    found = (words or stop_words()).detect(text, hint=hint)
    assert found is not None
    return found.language


def test_languages_are_complete():
    assert set(MUST) <= set(languages())
    for language, words in DATA.items():
        assert len(words["stop"]) >= 10, language
        assert words["start"]
        assert words["polite"]
        assert set(words) <= {"stop", "start", "polite", "fold", "confirmation"}


def test_every_listed_word_is_found_in_its_language():
    for language, wanted, word in LISTED:
        for text in (word, f" {word.upper()}!!! ", f"/{word}", f"«{word}».", f"{word} 🙏", f"\u200f{word}\u200b"):
            found = module.stop_words().detect(text, hint=language)
            assert found is not None, (language, text)
            assert found.kind is wanted, (language, text)
        assert language_of(word, language) == language, (language, word)


def test_every_listed_word_bears_courtesy():
    for language, wanted, word in LISTED:
        for polite in DATA[language]["polite"][:2]:
            for text in (f"{polite}, {word}", f"{word}, {polite}"):
                assert kind(text) == wanted, (language, text)


def test_courtesy_alone_asks_nothing():
    for words in DATA.values():
        for polite in words["polite"]:
            assert detect(polite) is None, polite


def test_confirmations_name_a_way_back():
    starts = {word.casefold() for _, wanted, word in LISTED if wanted is Kind.START}
    for language in languages():
        text = confirmation(language)
        assert any(word in text.casefold() for word in starts), language
        assert len(text) <= 160
        assert detect(text) is None


TAGS = """pt-BR=pt zh=zh-Hans zh-TW=zh-Hant zh_HK=zh-Hant zh-Hant-TW=zh-Hant fil=tl iw=he no=nb EN-us=en xx=en und=en"""


@pytest.mark.parametrize(("tag", "language"), [*(pair.split("=") for pair in TAGS.split()), ("", "en"), (None, "en")])
def test_confirmation_by_tag(tag, language):
    assert confirmation(tag) == DATA[language]["confirmation"]


@pytest.mark.parametrize(
    "text",
    [
        "STOP", "Stop", "stop!!!", "ＳＴＯＰ", "s t o p", "S.T.O.P.", "#stop", "stop stop stop",
        "Stop. Unsubscribe me!", "please stop", "Hi, can you stop messaging me please? Thanks",
        "Don't text me again", "Don’t text me again", "DONT TEXT ME AGAIN", "不要再发了",
        "请不要再发了，谢谢！", "别再发了", "取消订阅", "退 订", "TD", "T D", "回复TD", "отпишите меня",
        "Отпишите меня, пожалуйста", "больше не пишите мне!", "İPTAL", "IPTAL", "ÇIKIŞ", "ARRET", "arrêt",
        "Ne m'écrivez plus s'il vous plaît", "BAJA", "إلغاء", "إِلْغَاء", "الغاء", "停止", "配信停止",
        "ARRÊT", "PARAR", "STOPP", "СТОП", "중지", "수신 거부 해주세요", "ΔΙΑΚΟΠΗ", "הסר", "dừng",
        "DỪNG LẠI", "unsubscribe", "cancelar suscripcion", "ไม่ต้องส่งมาอีกนะครับ", "🛑",
        "wypisz mnie proszę", "STOP 🙏🏽", '"stop"',
    ],
)  # fmt: skip
def test_stops(text):
    assert kind(text) == "stop"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "...", "👍", "don't stop", "dont stop", "Don’t stop!", "stop by tomorrow",
        "I'll stop by", "where is the bus stop?", "cancel my order", "please", "thanks", "yes", "no",
        "ok", "fin", "halt", "alto", "bästa", "basta", "red", "Peru", "acha", "不要", "不要香菜",
        "取消订单", "不要停", "别停", "停车", "T", "N", "dùng", "stöp", "dür", "dung", "đúng", "не отписывайте меня",
        "не стоп", "stop start", "Stop, don't stop", "non-stop", "full stop", "stop" * 40,
        "unsubscribe is not what I want", "how do I stop this?", "Can I cancel tomorrow?",
    ],
)  # fmt: skip
def test_does_not_stop(text):
    assert kind(text) is None


@pytest.mark.parametrize("text", ["START", "/start", "unstop", "重新订阅", "старт", "ALTA", "再開", "시작", "Start!"])
def test_starts(text):
    assert kind(text) == "start"


def test_shared_words_follow_the_hint():
    assert language_of("停止") == "zh-Hans"
    assert language_of("停止", "ja-JP") == "ja"
    assert language_of("parar", "pt-BR") == "pt"
    assert language_of("parar", "xx") == "es"


def test_a_tenant_s_words():
    words = StopWords(["¡Basta!", "T", "start", "❌"], extra_start=["Hola otra vez", "T"])
    for text in ("basta", "please basta", "t", "START", "❌"):
        found = words.detect(text)
        assert found is not None
        assert (found.kind, found.language) == (Kind.STOP, "und")
    again = words.detect("hola otra vez")
    assert again is not None
    assert again.kind is Kind.START
    assert language_of("stop", words=words) == "en"
    assert detect("basta") is None
    assert stop_words(("x",)) is stop_words(("x",))


@given(st.text(max_size=150))
def test_any_text_is_safe(text):
    found = detect(text)
    assert found is None or found.matched
