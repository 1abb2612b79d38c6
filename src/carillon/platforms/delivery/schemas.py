"""HTTP shapes of messages."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from .contracts import Draft, Message, MessageKind, MessageState
from .explaining import Explanation, Step
from .telling import Language, tell

Body = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
PlatformId = Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")]


class MessageIn(BaseModel):
    """A direct message; with a `message_id` of your choice a repeated call changes nothing."""

    model_config = ConfigDict(extra="forbid")

    account_id: UUID
    contact_id: UUID
    body: Body
    kind: Literal["reply", "notice", "test"] = "notice"
    message_id: UUID | None = None
    reply_to: PlatformId | None = Field(None, description="Platform id of the message it answers")
    due_at: AwareDatetime | None = Field(None, description="Not before; now if left out")

    def draft(self, actor_id: UUID | None) -> Draft:
        """As the facade takes it."""
        values = self.model_dump(exclude={"kind"})
        return Draft(**values, kind=MessageKind(self.kind), actor_id=actor_id)


class RestoredIn(BaseModel):
    """What shall become of the messages that a restore held; of all of them, or of a campaign's or an account's."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["send", "cancel"]
    campaign_id: UUID | None = None
    account_id: UUID | None = None


class RestoredOut(BaseModel):
    """How many messages were changed, and whether to call again because more may be left."""

    messages: int
    more: bool


class StepOut(BaseModel):
    """One sentence of a message's life; `code` is stable, `values` are what it names."""

    at: datetime | None
    code: str
    text: str
    values: dict[str, Any]

    @classmethod
    def of(cls, step: Step, language: Language) -> "StepOut":
        """The HTTP shape of a step."""
        return cls(at=step.at, code=step.code, text=tell(step, language), values=dict(step.values))


class ExplanationOut(BaseModel):
    """The life of a message: what happened, how it stands, what comes next, and what a person can do."""

    message_id: UUID
    state: MessageState
    steps: list[StepOut]
    now: StepOut
    next: StepOut
    advice: list[StepOut]

    @classmethod
    def of(cls, explanation: Explanation, language: Language) -> "ExplanationOut":
        """The HTTP shape of an explanation."""
        return cls(
            message_id=explanation.message_id,
            state=explanation.state,
            steps=[StepOut.of(step, language) for step in explanation.steps],
            now=StepOut.of(explanation.now, language),
            next=StepOut.of(explanation.next, language),
            advice=[StepOut.of(step, language) for step in explanation.advice],
        )


class StuckOut(BaseModel):
    """Things that stand still for one reason; `mend` is the command or call that frees them."""

    kind: str
    count: int
    since: datetime | None
    why: str
    mend: str
    account_id: UUID | None
    campaign_id: UUID | None


class StuckList(BaseModel):
    """Everything of the tenant that does not move; empty is good."""

    items: list[StuckOut]


class MessageOut(BaseModel):
    """A message of the ledger; `reason` is a stable code, `reason_text` the same for a person."""

    id: UUID
    account_id: UUID
    contact_id: UUID
    campaign_id: UUID | None
    platform: str
    peer: str
    kind: MessageKind
    variant: str | None
    body: str | None
    state: MessageState
    unconfirmed: bool
    reason: str | None
    reason_text: str | None
    platform_id: str | None
    attempts: int
    due_at: datetime
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    actor_id: UUID | None

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """The HTTP shape of a message."""
        return cls.model_validate(message, from_attributes=True)
