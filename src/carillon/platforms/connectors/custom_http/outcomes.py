"""What the tenant's server answered, in the ledger's terms.

2xx with `{"id": ...}`   accepted
429, 503 + Retry-After   asked to wait
other 3xx and 4xx        refused; `{"error": {"class", "code", "text", "opt_out"}}` may say more
408, 5xx, anything else  nobody knows
"""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from carillon.platforms.connectors.errors import (
    FailureClass,
    Flooded,
    Rejected,
    SendError,
    Uncertain,
)
from carillon.platforms.connectors.port import Accepted

from .answer import Answer

DEFAULT_WAIT = 10.0
LONGEST_WAIT = 86_400.0
# What the request was wrong about, unless the server says so itself.
_CONTENT = frozenset({400, 409, 413, 415, 422})
_REFUSED = range(300, 500)
_REQUEST_TIMEOUT, _TOO_MANY, _UNAVAILABLE = 408, 429, 503


class _Taken(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str | int = Field(union_mode="left_to_right")


class _Fault(BaseModel):
    model_config = ConfigDict(extra="ignore")

    failure: Literal["recipient", "content", "account", "platform", "blocked"] | None = Field(None, alias="class")
    code: str = Field("", max_length=100)
    text: str = Field("", max_length=500)
    opt_out: bool = False


class _Refusal(BaseModel):
    model_config = ConfigDict(extra="ignore")

    error: _Fault


def accepted(answer: Answer, *, now: datetime) -> Accepted:
    """The acceptance.

    Raises:
        SendError: It is none.
    """
    if not 200 <= answer.status < 300:  # noqa: PLR2004 - the success class of HTTP
        raise _error(answer, now)
    try:
        taken = _Taken.model_validate_json(answer.body or b"")
    except ValidationError:
        text = "The server took the message but did not name it: its answer has no id."
        raise Uncertain(text, platform_code=f"HTTP {answer.status}") from None
    platform_id = str(taken.id)
    if not 0 < len(platform_id) <= 200 or "\0" in platform_id:  # noqa: PLR2004 - as long as we store
        text = "The server took the message but gave it an id that we cannot keep."
        raise Uncertain(text, platform_code=f"HTTP {answer.status}")
    return Accepted(platform_id=platform_id, at=now)


def _error(answer: Answer, now: datetime) -> SendError:
    status = answer.status
    if status == _TOO_MANY or (status == _UNAVAILABLE and answer.retry_after is not None):
        return Flooded("The server asked us to wait.", retry_after=_wait(answer.retry_after, now))
    if status not in _REFUSED or status == _REQUEST_TIMEOUT:
        return Uncertain("The server reported a fault of its own.", platform_code=f"HTTP {status}")
    fault = _fault(answer)
    usual = FailureClass.CONTENT if status in _CONTENT else FailureClass.ACCOUNT
    return Rejected(
        fault.text or f"The server refused the message (HTTP {status}).",
        failure=FailureClass(fault.failure) if fault.failure else usual,
        platform_code=fault.code or f"HTTP {status}",
        opt_out=fault.opt_out,
    )


def _fault(answer: Answer) -> _Fault:
    """What the server says is wrong; nothing if it does not say it in our form."""
    try:
        return _Refusal.model_validate_json(answer.body or b"").error
    except ValidationError:
        return _Fault()


def _wait(retry_after: str | None, now: datetime) -> float:
    """Seconds to wait: the header's number or date (RFC 9110, 10.2.3), within reason."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        seconds = _until(retry_after, now)
    return min(LONGEST_WAIT, max(1.0, seconds)) if math.isfinite(seconds) else DEFAULT_WAIT


def _until(date: str | None, now: datetime) -> float:
    try:
        when = parsedate_to_datetime(date or "")
    except ValueError:
        return DEFAULT_WAIT
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now.timestamp()
