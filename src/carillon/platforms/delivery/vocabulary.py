"""Codes of the ledger in words: (English, Chinese). Data; `telling` puts the facts in."""

from collections.abc import Mapping
from types import MappingProxyType

Pair = tuple[str, str]

SENTENCES: Mapping[str, Pair] = MappingProxyType(
    {
        # how it began
        "planned": (
            "Planned for campaign {campaign} (variant {variant}), to leave from account {account}.",
            "由活动 {campaign}（版本 {variant}）计划，将从账号 {account} 发出。",
        ),
        "accepted": (
            "Accepted as a {kind} of the product itself, to leave from account {account}.",
            "系统自身的{kind}已受理，将从账号 {account} 发出。",
        ),
        "accepted_by": (
            "Accepted as a {kind} written by user {actor}, to leave from account {account}.",
            "用户 {actor} 编写的{kind}已受理，将从账号 {account} 发出。",
        ),
        "accepted_again": (
            "Accepted as a {kind}: user {actor} sent message {original} once more with it, from account {account}.",
            "已受理（{kind}）：用户 {actor} 用它重发了消息 {original}，账号 {account}。",
        ),
        # what happened around it
        "gate_running": ("The campaign's gate was opened.", "活动的闸门已打开。"),
        "gate_paused": ("The campaign was paused.", "活动已暂停。"),
        "gate_closed": ("The campaign's gate was closed.", "活动的闸门已关闭。"),
        "account_became": ("The account became {state}.", "账号状态变为{state}。"),
        # attempts
        "authorised": (
            (
                "Consent, opt-out and limits were checked and it was allowed on the wire, under lease epoch {epoch} "
                "of its account."
            ),
            "已检查同意、退订与限额，准予发送；账号租约纪元为 {epoch}。",
        ),
        "authorised_again": (
            (
                "Allowed on the wire for the last time, attempt {attempts}, under lease epoch {epoch}; the platform "
                "had certainly not taken it before."
            ),
            "最近一次准予发送（第 {attempts} 次尝试），租约纪元 {epoch}；此前平台确定没有接收。",
        ),
        # what became of it
        "became_sent": (
            "The platform accepted it; written to the ledger at {noted}.",
            "平台已接收；于 {noted} 记入账本。",
        ),
        "became_delivered": ("The platform reported it delivered.", "平台报告已送达。"),
        "became_read": ("The platform reported it read.", "平台报告已读。"),
        "became_failed": ("It failed: {reason}.", "发送失败：{reason}。"),
        "became_unknown": (
            "Nobody knows whether it was sent: {reason}. It was not sent again by itself.",
            "无法得知是否已发出：{reason}。系统没有自动重发。",
        ),
        "became_held": ("Held: {reason}.", "已暂存：{reason}。"),
        "became_cancelled": ("Taken back before it left: {reason}.", "发出前已撤回：{reason}。"),
        "became_suppressed": ("Not sent, and it will not be: {reason}.", "未发送，且不会发送：{reason}。"),
        "resent": ("User {actor} sent it again as message {as}.", "用户 {actor} 已将其重发为消息 {as}。"),
        "evidence": (
            (
                "The evidence: entry {entry} of the person's consent ledger, {action}, by {actor}, through {source}, "
                "recorded at {recorded}."
            ),
            "依据：此人同意账本中的条目 {entry}（{action}），来自 {actor}，途径：{source}，记录于 {recorded}。",
        ),
        "no_evidence": (
            "The consent ledger holds no statement of the person for {purpose} on {platform}, so the answer is no.",
            "同意账本中没有此人关于 {platform} 上{purpose}用途的声明，因此不可发送。",
        ),
        # how it stands
        "is_done": ("It is {state}.", "现状：{state}。"),
        "is_failed": ("It failed: {reason}.", "已失败：{reason}。"),
        "is_suppressed": ("It was not sent: {reason}.", "未发送：{reason}。"),
        "is_cancelled": ("It was taken back.", "已撤回。"),
        "account_gone": ("It waits, but its account was deleted.", "等待中，但其账号已删除。"),
        "gate_shut": ("It waits: its campaign's gate is {lane}.", "等待中：活动闸门状态为{lane}。"),
        "account_cannot": ("It waits: its account is {state}.", "等待中：其账号状态为{state}。"),
        "flooded": (
            "It waits: the platform asked the account to be still until {until}.",
            "等待中：平台要求该账号在 {until} 之前停止发送。",
        ),
        "would_be_refused": (
            "It waits, but as things stand the person may not be written to: {reason}.",
            "等待中，但目前不可联系此人：{reason}。",
        ),
        "put_back": (
            "It waits until {until}: the platform certainly did not take attempt {attempts}.",
            "等待至 {until}：第 {attempts} 次尝试平台确定没有接收。",
        ),
        "quiet_hours": (
            "It waits until {until}: quiet hours of the person.",
            "等待至 {until}：此人的免打扰时段。",
        ),
        "not_due": (
            "It is not due before {until}: its schedule, or the number of people its account may write to in a day.",
            "{until} 才到期：按计划，或受账号每日可联系人数限制。",
        ),
        "no_owner": (
            "It is due, but no living delivery process owns its account (which is {state}).",
            "已到期，但没有运行中的投递进程持有其账号（状态：{state}）。",
        ),
        "its_turn": (
            "It is due and waits its turn: {ahead} messages of its account go first (1000 means that many or more).",
            "已到期，正在排队：该账号有 {ahead} 条消息在前（1000 表示不少于此数）。",
        ),
        "in_flight": (
            "It is on its way since {since}, by the process {worker}.",
            "自 {since} 起由进程 {worker} 发送中。",
        ),
        "in_flight_orphaned": (
            "It was on its way at {since}, and the process that was sending it is gone.",
            "{since} 正在发送时，发送它的进程已消失。",
        ),
        "held_restored": (
            "It is held since a backup was restored: it may have been sent after the backup was made.",
            "恢复备份后被暂存：它可能在备份之后已经发出。",
        ),
        "unknown": ("Nobody knows yet whether it was sent.", "暂时无法得知是否已发出。"),
        "unconfirmed": (
            "Nobody knows whether it was sent, and after this long no status will hardly come.",
            "无法得知是否已发出；时间已久，状态回执多半不会再来。",
        ),
        "unknown_resent": (
            "Nobody knows whether it was sent; a person has sent it again as another message.",
            "无法得知是否已发出；已有人将其作为另一条消息重发。",
        ),
        # what comes next
        "nothing": ("Nothing more happens by itself.", "之后不会自动发生任何事。"),
        "statuses_may_come": ("Statuses of the platform may still come.", "平台的状态回执仍可能到来。"),
        "goes_when_gate_opens": ("It goes on when the campaign does.", "活动继续后即继续。"),
        "will_be_held": ("It will be held until the account is online again.", "将被暂存，直到账号恢复在线。"),
        "goes_after": (
            "It goes after {at}, checked again for consent, opt-out and limits.",
            "{at} 之后发送，届时会再次检查同意、退订与限额。",
        ),
        "will_be_suppressed": ("At its turn it will be suppressed.", "轮到时将被拦截。"),
        "goes_when_owned": ("It goes when a process takes the account.", "有进程接管账号后即发送。"),
        "goes_when_online": ("It goes when the account is online again.", "账号恢复在线后即发送。"),
        "goes_next": ("It goes when its turn comes.", "轮到即发送。"),
        "will_settle": ("The platform's answer settles it, within a minute.", "一分钟内由平台的答复定论。"),
        "next_owner_decides": (
            (
                "The account's next owner sends it again with the same key where the platform drops repeats, and calls "
                "it unknown elsewhere."
            ),
            "账号的下一个持有者接手：平台能去重则以同一键重发，否则标记为未知。",
        ),
        "waits_for_person": ("Nothing happens until a person decides.", "在有人决定之前不会发生任何事。"),
        "status_decides": ("A status of the platform settles it, if one comes.", "若平台发来状态回执则定论。"),
        # what a person can do
        "cancel": ("Take it back: POST /api/v1/messages/{id}/cancel", "撤回：POST /api/v1/messages/{id}/cancel"),
        "resend": (
            "Then send it once more: POST /api/v1/messages/{id}/resend",
            "然后重发：POST /api/v1/messages/{id}/resend",
        ),
        "resend_at_risk": (
            "Send it once more, at the risk of a second copy: POST /api/v1/messages/{id}/resend",
            "重发（可能收到两份）：POST /api/v1/messages/{id}/resend",
        ),
        "mend_cause": ("Mend the cause it names.", "先消除所述原因。"),
        "look_at_consents": (
            "See what the person allowed: GET /api/v1/contacts/{contact}/consents",
            "查看此人的同意记录：GET /api/v1/contacts/{contact}/consents",
        ),
        "resume_campaign": (
            "Let the campaign go on: carillon campaign resume {campaign}",
            "继续活动：carillon campaign resume {campaign}",
        ),
        "mend_account": (
            "Look at the account and mend what it names: GET /api/v1/accounts/{account}",
            "查看账号并按其说明处理：GET /api/v1/accounts/{account}",
        ),
        "run_delivery": (
            "See that a delivery process runs: carillon run delivery",
            "确认有投递进程在运行：carillon run delivery",
        ),
        "see_stuck": (
            "See what else stands still: carillon delivery stuck",
            "查看还有什么停滞：carillon delivery stuck",
        ),
        "release_restored": (
            "Decide: POST /api/v1/messages/release-restored with action send or cancel",
            "作出决定：POST /api/v1/messages/release-restored，action 为 send 或 cancel",
        ),
        "wait_for_status": (
            "Wait a quarter of an hour; then it can be sent again by hand.",
            "请等待一刻钟；之后可手动重发。",
        ),
    }
)

WORDS: Mapping[str, Pair] = MappingProxyType(
    {
        "reply": ("reply", "回复"),
        "confirmation": ("confirmation of an opt-out", "退订确认"),
        "notice": ("notice", "通知"),
        "test": ("test", "测试"),
        "campaign": ("campaign message", "活动消息"),
        "marketing": ("marketing", "营销"),
        "service": ("service", "服务"),
        "queued": ("queued", "排队中"),
        "sent": ("sent", "已发送"),
        "delivered": ("delivered", "已送达"),
        "read": ("read", "已读"),
        "running": ("open", "打开"),
        "paused": ("paused", "暂停"),
        "closed": ("closed", "关闭"),
        "new": ("new", "新建"),
        "signing_in": ("signing in", "登录中"),
        "online": ("online", "在线"),
        "degraded": ("degraded", "不稳定"),
        "flooded": ("flooded", "限流中"),
        "restricted": ("restricted", "受限"),
        "banned": ("banned", "被封禁"),
        "signed_out": ("signed out", "已登出"),
        "parked": ("parked", "已停放"),
        "opted_out": ("the person opted out", "此人已退订"),
        "opted_in": ("the person opted in again", "此人重新同意"),
        "granted": ("consent granted", "给予同意"),
        "withdrawn": ("consent withdrawn", "撤回同意"),
        "no_address": ("the person has no address on the platform", "此人在该平台没有地址"),
        "no_consent": ("there is no consent", "没有同意记录"),
        "consent_expired": ("the consent has expired", "同意已过期"),
        "consent_withdrawn": ("the consent was withdrawn", "同意已撤回"),
        "gone": ("the person was erased or merged", "此人已被删除或合并"),
        "no_contact": ("the person is not there any more", "此人已不存在"),
        "no_account": ("no account on any platform of the campaign", "活动的平台上没有可用账号"),
        "missing_variable": ("the text needs a value the person lacks", "文本缺少此人的变量值"),
        "frequency_cap": ("as many campaign messages as the policy allows", "已达频率上限"),
        "recipient": ("the recipient cannot be reached", "收件人无法送达"),
        "content": ("the platform refused the content", "平台拒绝该内容"),
        "account": ("the account may not send this", "账号无权发送"),
        "platform": ("the platform refused it", "平台拒绝"),
        "blocked": ("the person blocked the account", "此人屏蔽了该账号"),
        "uncertain": ("no answer that can be trusted", "没有可信的答复"),
        "interrupted": ("the process that was sending stopped", "发送进程中断"),
        "not_sendable_any_more": (
            "the person may no longer be written to, so it was not tried again",
            "此人已不可联系，因此没有再试",
        ),
        "account_error": ("the account failed during a second attempt", "第二次尝试时账号出错"),
        "resent": ("a person sent it again", "已有人重发"),
        "restored": ("a backup was restored", "恢复了备份"),
        "account_restricted": ("its account is restricted", "其账号受限"),
        "account_banned": ("its account is banned", "其账号被封禁"),
        "account_signed_out": ("its account is signed out", "其账号已登出"),
        "account_parked": ("its account is parked", "其账号已停放"),
        "cancelled": ("by a person", "由人工撤回"),
        "campaign_cancelled": ("the campaign was cancelled", "活动已取消"),
        "account_removed": ("its account was removed", "其账号已移除"),
        "message": ("a message", "消息"),
        "operator": ("an operator", "操作员"),
        "import": ("an import", "导入"),
        "form": ("a form", "表单"),
        "api": ("the API", "API"),
        "contact": ("the person", "本人"),
    }
)
