"""What the tenant's server posts to us: `{"updates": [{"type": "message" | "status" | "blocked", ...}]}`.

Example:
    `{"updates": [{"type": "message", "id": "m1", "chat": "+4912", "text": "hi", "at": "2026-11-01T12:00:00Z"},
    {"type": "status", "status": "delivered", "message_id": "0192...", "at": "2026-11-01T12:00:00Z"},
    {"type": "blocked", "peer": "+4912", "at": "2026-11-01T12:00:00Z"}]}`
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json, to_json

from carillon.platforms.connectors.errors import BadWebhook
from carillon.platforms.connectors.port import Blocked, InboundMessage, Status, StatusUpdate, Update

MAX_UPDATES = 1000
_INSIDE = 2
"""Steps to an update from the top: `updates.3`."""
# PostgreSQL's text cannot hold NUL.
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Text = Annotated[str, Field(max_length=65_536, pattern=r"^[^\x00]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Message(_Strict):
    type: Literal["message"]
    id: Name
    chat: Name
    text: Text
    at: AwareDatetime
    sender: Name | None = None
    sender_name: Text | None = None
    reply_to: Name | None = None

    def update(self) -> Update:
        return InboundMessage(
            chat=self.chat,
            sender=self.sender or self.chat,
            platform_id=self.id,
            text=self.text,
            at=self.at,
            sender_name=self.sender_name,
            reply_to=self.reply_to,
            raw=self.model_dump(mode="json"),
        )


class _Status(_Strict):
    type: Literal["status"]
    status: Literal["sent", "delivered", "read", "failed"]
    at: AwareDatetime
    message_id: UUID | None = None
    platform_id: Name | None = None
    error_class: Literal["recipient", "content", "account", "platform", "blocked"] | None = None
    error_code: Name | None = None
    error_text: Text | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.message_id is None and self.platform_id is None:
            raise ValueError("message_id or platform_id is needed")
        return self

    def update(self) -> Update:
        return StatusUpdate(
            status=Status(self.status),
            at=self.at,
            message_id=self.message_id,
            platform_id=self.platform_id,
            error_class=self.error_class,
            error_code=self.error_code,
            error_text=self.error_text,
        )


class _Blocked(_Strict):
    type: Literal["blocked"]
    peer: Name
    at: AwareDatetime

    def update(self) -> Update:
        return Blocked(peer=self.peer, at=self.at)


class _Call(_Strict):
    updates: list[Annotated[_Message | _Status | _Blocked, Field(discriminator="type")]] = Field(max_length=MAX_UPDATES)


def parse(body: bytes) -> Sequence[Update]:
    """The updates in a call.

    Raises:
        BadWebhook: One of them is not as described; `place` names the first, e.g. `updates.3.message.text`, and
            `understood` holds all the others.
    """
    try:
        return _read(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    place = ".".join(str(part) for part in faults[0]["loc"]) or "body"
    others = _without(body, [fault["loc"] for fault in faults])
    raise BadWebhook(faults[0]["msg"], place=place, understood=others)


def _read(body: bytes) -> list[Update]:
    return [item.update() for item in _Call.model_validate_json(body).updates]


def _without(body: bytes, places: Sequence[tuple[int | str, ...]]) -> list[Update]:
    """The updates that are not among the places of faults; none if a place is not inside an update."""
    if any(len(place) < _INSIDE for place in places):
        return []
    bad = {place[1] for place in places}
    given = from_json(body)["updates"]
    return _read(to_json({"updates": [one for number, one in enumerate(given) if number not in bad]}))
