"""HTTP shapes of segments."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from carillon.kernel.lines import ONE_LINE

from .contracts import Count, Member, Reach, Segment

Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00]*$")]
Platform = Literal["telegram", "whatsapp", "custom"]
Purpose = Literal["marketing", "service"]
RuleBody = Annotated[
    dict[str, Any],
    Field(
        description="`{all|any|none: [rule…]}` or `{attribute, operator, value}`; see docs/reference/segments.md",
        examples=[{"all": [{"attribute": "tags", "operator": "has", "value": "customer"}]}],
    ),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SegmentIn(_In):
    """A segment to store."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=ONE_LINE)]
    description: Annotated[Text, Field(max_length=1000)] = ""
    rule: RuleBody


class SegmentChangeIn(SegmentIn):
    """A segment as it shall be."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1, description="The version that was read")]


class PreviewIn(_In):
    """A rule to try."""

    rule: RuleBody
    platform: Platform | None = Field(None, description="Also say who may be written to there")
    purpose: Purpose = "marketing"
    sample: Annotated[int, Field(ge=0, le=100)] = 20


class SegmentOut(BaseModel):
    """A stored segment."""

    id: UUID
    name: str
    description: str
    rule: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: Segment) -> "SegmentOut":
        """From the facade's shape."""
        return cls(
            id=found.id,
            name=found.name,
            description=found.description,
            rule=dict(found.rule),
            version=found.version,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )


class CountOut(BaseModel):
    """How many people."""

    total: int
    exact: bool = Field(description="False: counting took too long, this is an estimate")

    @classmethod
    def of(cls, found: Count) -> "CountOut":
        """From the facade's shape."""
        return cls(total=found.total, exact=found.exact)


class MemberOut(BaseModel):
    """One of the people."""

    id: UUID
    name: str
    language: str | None
    country: str | None
    tags: list[str]

    @classmethod
    def of(cls, found: Member) -> "MemberOut":
        """From the facade's shape."""
        return cls(id=found.id, name=found.name, language=found.language, country=found.country, tags=list(found.tags))


class SampleOut(BaseModel):
    """Some of the people, the newest."""

    items: list[MemberOut]


class ReachOut(BaseModel):
    """Who may be written to, and why the others may not."""

    platform: str
    purpose: str
    sendable: int
    excluded: dict[str, int]

    @classmethod
    def of(cls, found: Reach) -> "ReachOut":
        """From the facade's shape."""
        return cls(
            platform=found.platform,
            purpose=found.purpose,
            sendable=found.sendable,
            excluded=dict(found.excluded),
        )


class PreviewOut(BaseModel):
    """What a rule comes to."""

    count: CountOut
    sample: list[MemberOut]
    reach: ReachOut | None
