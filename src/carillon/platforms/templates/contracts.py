"""What crosses the boundary of templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Vector:
    """A test of a template: these values must make this text.

    Attributes:
        language: Whose text is meant; chosen as for a person with this language.
        values: By variable name.
        expected: The rendered text; None when a variable must be found missing.
    """

    name: str
    values: Mapping[str, str]
    expected: str | None
    language: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What a template says; every change of it is a new version.

    Attributes:
        texts: Language (BCP 47) to text; `""` is the text for everyone else and must be there.
        hints: Network to a note for whoever uses it there, e.g. the name of an approved template.
        vectors: Tests that must pass.
    """

    texts: Mapping[str, str]
    hints: Mapping[str, str] = field(default_factory=dict)
    vectors: tuple[Vector, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A message template in one of its versions.

    Attributes:
        version: 1 and up; campaigns keep the texts they were planned with.
        latest: The newest version there is.
        variables: All variables of all texts, in order.
        required: Those without a default somewhere: a person without them gets no message.
    """

    id: UUID
    name: str
    description: str
    version: int
    latest: int
    content: Content
    variables: tuple[str, ...]
    required: tuple[str, ...]
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TemplateEdit:
    """What to change; attributes not named in `given` stay as they are."""

    given: frozenset[str]
    name: str = ""
    description: str = ""
    content: Content = field(default_factory=lambda: Content({}))


@dataclass(frozen=True, slots=True)
class TemplateVersion:
    """One version, as history lists it."""

    version: int
    created_by: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a template, and where: `texts.zh-CN, character 12`."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Validation:
    """All that can be said of a template before it is stored; valid when there are no faults."""

    faults: tuple[Fault, ...]
    variables: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """A template as one person would get it.

    Attributes:
        language: Whose text was chosen; `""` is the text for everyone else.
        text: None when variables are missing.
        missing: Variables that the person has no value for.
    """

    language: str
    text: str | None
    missing: tuple[str, ...]
