"""The simulator's words in ours: its errors as `SendError`s, its updates as `Update`s."""

from datetime import UTC, datetime
from uuid import UUID

from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    Flooded,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import (
    AccountState,
    AccountUpdate,
    Blocked,
    InboundMessage,
    Status,
    StatusUpdate,
    Update,
)

from .protocol import Frame, FrameError


def send_error(error: Frame) -> SendError:
    """What an error answer to a send or hello means."""
    text, code = str(error.get("text") or ""), str(error.get("code") or "")
    match error.get("kind"):
        case "flood":
            seconds, pair = float(error["retry_after"]), bool(error["pair"])
            what = "this chat" if pair else "this account"
            message = f"The platform asked {what} to wait {seconds:.0f} s."
            return Flooded(message, retry_after=seconds, only_peer=pair)
        case "rejected":
            failure = FailureClass(error["class"])
            return Rejected(text, failure=failure, platform_code=code, opt_out=error.get("opt_out") is True)
        case "account":
            return AccountError(text, state=AccountState(error["state"]), platform_code=code)
    return Uncertain("The platform gave an answer that we do not understand.", platform_code=code)


def moment(seconds: float) -> datetime:
    """The platform's time, in seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC)


def update(item: Frame) -> Update:
    """One update of an account's log.

    Raises:
        FrameError: Its kind or a field is unknown.
    """
    try:
        return _update(item, moment(item["at"]))
    except (KeyError, ValueError, TypeError) as error:
        raise FrameError(f"update {item.get('seq')} cannot be understood") from error


def _update(item: Frame, at: datetime) -> Update:
    match item["kind"]:
        case "message":
            return InboundMessage(
                chat=item["chat"],
                sender=item["sender"],
                platform_id=item["pid"],
                text=item["text"],
                at=at,
                sender_name=item["name"],
                reply_to=item["reply_to"],
                raw=item,
            )
        case "status":
            return StatusUpdate(
                status=Status(item["status"]),
                at=at,
                message_id=UUID(item["id"]),
                platform_id=item["pid"],
                error_class=item.get("error_class"),
                error_code=item.get("error_code"),
                error_text=item.get("error_text"),
            )
        case "blocked":
            return Blocked(peer=item["peer"], at=at)
        case "account":
            return AccountUpdate(
                state=AccountState(item["state"]),
                reason=item["reason"],
                at=at,
                retry_after=item.get("retry_after"),
            )
    raise FrameError("unknown kind of update")
