"""The sentences in which a message's life is told, in English and Chinese; `{names}` are the facts of the step."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from .explaining import Step
from .vocabulary import SENTENCES, WORDS


class Language(StrEnum):
    """What a life can be told in."""

    ENGLISH = "en"
    CHINESE = "zh"


_NOBODY = {Language.ENGLISH: "the product", Language.CHINESE: "系统"}


def tell(step: Step, language: Language) -> str:
    """One sentence."""
    english, chinese = SENTENCES[step.code]
    words = {name: _word(value, language) for name, value in step.values.items()}
    sentence = (chinese if language is Language.CHINESE else english).format_map(words)
    text = step.values.get("text") or step.values.get("why")
    return f"{sentence} {text}" if text and str(text) not in sentence else sentence


def moment(at: datetime | None) -> str:
    """A time in UTC to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""


def _word(value: Any, language: Language) -> str:
    if value is None:
        return _NOBODY[language]
    if isinstance(value, datetime):
        return moment(value)
    text = str(value)
    known: Mapping[str, tuple[str, str]] = WORDS
    if text in known:
        return known[text][1 if language is Language.CHINESE else 0]
    head, colon, rest = text.partition(":")
    return f"{_word(head, language)} ({rest})" if colon and head in known else text
