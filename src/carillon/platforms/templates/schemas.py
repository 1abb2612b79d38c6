"""HTTP shapes of message templates."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from .contracts import Content, Preview, StoredTemplate, TemplateEdit, TemplateVersion, Validation, Vector

Line = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]
Language = Annotated[str, Field(max_length=50)]
Body = Annotated[str, Field(max_length=20_000, pattern=r"^[^\x00]*$")]
Texts = Annotated[dict[Language, Body], Field(max_length=100, description='By BCP 47; `""` is for everyone else')]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VectorBody(_In):
    """A test: these values must make this text; `expected: null` means a variable must be missing."""

    name: Line
    values: Annotated[dict[Line, Body], Field(max_length=100)]
    expected: Body | None
    language: Language = ""

    def vector(self) -> Vector:
        """As the facade takes it."""
        return Vector(self.name, self.values, self.expected, self.language)


class ContentBody(_In):
    """What a template says."""

    texts: Texts
    hints: Annotated[dict[Line, Line], Field(max_length=10)] = {}
    vectors: Annotated[list[VectorBody], Field(max_length=100)] = []

    def content(self) -> Content:
        """As the facade takes it."""
        return Content(self.texts, self.hints, tuple(vector.vector() for vector in self.vectors))

    @classmethod
    def of(cls, content: Content) -> "ContentBody":
        """The HTTP shape."""
        vectors = [
            VectorBody(name=one.name, values=dict(one.values), expected=one.expected, language=one.language)
            for one in content.vectors
        ]
        return cls(texts=dict(content.texts), hints=dict(content.hints), vectors=vectors)


class TemplateIn(_In):
    """A template to store."""

    name: Line
    description: Line = ""
    content: ContentBody


class TemplatePatch(_In):
    """What to change; what is left out stays. Another content becomes a new version."""

    name: Line = ""
    description: Line = ""
    content: ContentBody = ContentBody(texts={})

    def edit(self) -> TemplateEdit:
        """As the facade takes it."""
        given = frozenset(self.model_fields_set)
        return TemplateEdit(given, self.name, self.description, self.content.content())


class PreviewIn(_In):
    """For whom a template is shown."""

    contact_id: UUID
    language: Language | None = Field(None, description="Instead of the person's own")


class StoredPreviewIn(PreviewIn):
    """Which version is shown for whom; the latest if none is named."""

    version: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class UnsavedPreviewIn(PreviewIn):
    """A template that is being written."""

    content: ContentBody


class TemplateOut(BaseModel):
    """A template in one version."""

    id: UUID
    name: str
    description: str
    version: int
    latest: int
    content: ContentBody
    variables: tuple[str, ...]
    required: tuple[str, ...]
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: StoredTemplate) -> "TemplateOut":
        """The HTTP shape of a template."""
        values = {name: getattr(stored, name) for name in cls.model_fields if name != "content"}
        return cls(**values, content=ContentBody.of(stored.content))


class TemplateVersionOut(BaseModel):
    """A version."""

    version: int
    created_by: UUID | None
    created_at: datetime

    @classmethod
    def of(cls, version: TemplateVersion) -> "TemplateVersionOut":
        """The HTTP shape of a version."""
        return cls.model_validate(version, from_attributes=True)


class FaultOut(BaseModel):
    """What is wrong, and where."""

    place: str
    message: str


class ValidationOut(BaseModel):
    """What can be said of a template."""

    valid: bool
    faults: list[FaultOut]
    variables: tuple[str, ...]
    required: tuple[str, ...]

    @classmethod
    def of(cls, found: Validation) -> "ValidationOut":
        """The HTTP shape of a validation."""
        faults = [FaultOut(place=fault.place, message=fault.message) for fault in found.faults]
        return cls(valid=not faults, faults=faults, variables=found.variables, required=found.required)


class PreviewOut(BaseModel):
    """What the person would get; `text` is null while `missing` names variables."""

    language: str
    text: str | None
    missing: tuple[str, ...]

    @classmethod
    def of(cls, preview: Preview) -> "PreviewOut":
        """The HTTP shape of a preview."""
        return cls.model_validate(preview, from_attributes=True)
