"""What makes a template valid, and which text a person gets. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Mapping

from carillon.platforms.connectors.port import Platform

from .contracts import Content, Fault, Preview, Validation, Vector
from .errors import BadTemplate, MissingVariable
from .language import LONGEST, Template, compile_text

LONGEST_NAME = 200
MOST_LANGUAGES = 50
MOST_VECTORS = 50

# BCP 47 as far as message templates need it: language, script, region, variants.
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def check_line(text: str, field: str, longest: int = LONGEST_NAME, *, empty: bool = False) -> str:
    """One line of text, trimmed and in NFC.

    Raises:
        BadTemplate: It is empty, too long or holds control characters.
    """
    if _UNSAFE.search(text):
        raise BadTemplate("Control characters are not allowed.", place=f"field {field}")
    clean = unicodedata.normalize("NFC", text).strip()
    if len(clean) > longest or not (clean or empty):
        raise BadTemplate(f"Give 1 to {longest} characters.", place=f"field {field}")
    return clean


def validate(content: Content) -> Validation:
    """Everything that is wrong with the texts, hints and test vectors, and the variables they use."""
    compiled: dict[str, Template] = {}
    faults = [*_shape(content)]
    for language, text in content.texts.items():
        try:
            compiled[language] = compile_text(text)
        except BadTemplate as error:
            faults.append(Fault(f"texts.{language or '*'}, {error.place}", error.message))
    if not faults:
        faults += [fault for number, vector in enumerate(content.vectors) for fault in _try(content, number, vector)]
    variables = dict.fromkeys(name for template in compiled.values() for name in template.variables)
    required = dict.fromkeys(name for template in compiled.values() for name in template.required)
    return Validation(tuple(faults), tuple(variables), tuple(required))


def check(content: Content) -> Validation:
    """`validate`, for what is to be stored.

    Raises:
        BadTemplate: The first fault with its place; all of them in `data["faults"]`.
    """
    found = validate(content)
    if found.faults:
        first = found.faults[0]
        faults = [{"place": fault.place, "message": fault.message} for fault in found.faults]
        raise BadTemplate(first.message, place=first.place, faults=faults)
    return found


def choose_language(texts: Mapping[str, str], language: str | None) -> str:
    """The key of the text for a person: `zh-CN`, then `zh`, then the text for everyone else.

    Raises:
        KeyError: There is no text for everyone else.
    """
    keys = {key.lower(): key for key in texts}
    wanted = (language or "").lower()
    for candidate in (wanted, wanted.partition("-")[0], ""):
        if candidate in keys:
            return keys[candidate]
    raise KeyError("")


def show(texts: Mapping[str, str], language: str | None, values: Mapping[str, str]) -> Preview:
    """The text for a person with this language and these values.

    Raises:
        BadTemplate: The chosen text is not valid; the place names it.
    """
    chosen = choose_language(texts, language)
    try:
        template = compile_text(texts[chosen])
    except BadTemplate as error:
        raise BadTemplate(error.message, place=f"texts.{chosen or '*'}, {error.place}") from error
    missing = tuple(name for name in template.required if not values.get(name))
    return Preview(chosen, None if missing else template.render(values), missing)


def _shape(content: Content) -> Iterator[Fault]:
    if not content.texts.get("", "").strip():
        yield Fault("texts.*", "Give a text for everyone else, under the empty language.")
    if len(content.texts) > MOST_LANGUAGES:
        yield Fault("texts", f"A template has at most {MOST_LANGUAGES} languages.")
    if len(content.vectors) > MOST_VECTORS:
        yield Fault("vectors", f"A template has at most {MOST_VECTORS} test vectors.")
    seen: set[str] = set()
    for language, text in content.texts.items():
        if language and not _LANGUAGE.fullmatch(language):
            yield Fault(f"texts.{language[:20]}", "Give the language as BCP 47, e.g. zh-CN.")
        elif language and not text.strip():
            yield Fault(f"texts.{language}", "A text must not be empty.")
        if language.lower() in seen:
            yield Fault(f"texts.{language}", "This language is there twice.")
        seen.add(language.lower())
    yield from _hints(content)


def _hints(content: Content) -> Iterator[Fault]:
    known = {platform.value for platform in Platform}
    for platform, hint in content.hints.items():
        if platform not in known:
            yield Fault(f"hints.{platform[:20]}", f"There are {', '.join(sorted(known))}.")
        elif len(hint) > LONGEST_NAME or _UNSAFE.search(hint):
            yield Fault(f"hints.{platform}", f"Give one line of at most {LONGEST_NAME} characters.")


def _try(content: Content, number: int, vector: Vector) -> Iterator[Fault]:
    """What a test vector shows."""
    place = f"vectors.{number}"
    if len(vector.name) > LONGEST_NAME or len(vector.expected or "") > LONGEST:
        yield Fault(place, "The name or the text is too long.")
        return
    try:
        chosen = choose_language(content.texts, vector.language)
        made: str | None = compile_text(content.texts[chosen]).render(vector.values)
    except MissingVariable:
        made = None
    if made != vector.expected:
        got = "a variable is missing" if made is None else f"it makes “{made[:200]}”"
        yield Fault(place, f"The test “{vector.name[:50]}” fails: {got}.")
