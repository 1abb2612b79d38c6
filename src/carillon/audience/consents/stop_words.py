"""Recognises a message that asks to stop, or to be written to again, in almost forty languages.

Only a whole message counts: "STOP!!!", "please stop", "别再发了，谢谢" do; "don't stop" and "stop by tomorrow" do not,
because no sentence is searched for words. What is compared is a form of the text without case, width, punctuation,
emoji and zero-width characters, and with a leading or trailing courtesy taken off; diacritics may be left out where
the language bears it (Vietnamese does not: `dùng` is "use", `dừng` is "stop"), but never be wrong ones.

Ambiguity is settled by the harm of a mistake. A needless opt-out costs a message that the confirmation explains; a
missed one is a message against somebody's will. So for stopping, words are listed that now and then mean something
else when alone (`baja`, `cancel`, `end`, `dur`, `取消`). Left out are words that as a whole message
usually mean something else: `fin` (Swedish "nice"), `halt` and `slut` (German "just", English insult), `alto` ("tall"),
`basta` alone (Swedish `bästa` typed plainly), `acha` (Hindi "all right"), Turkish `red`, Finnish `peru`,
`不要` alone, `no`, a lone `T` or `N`; a tenant may add them. For starting again the
list is short and says so plainly: `yes` is an answer to too many questions. The words of the United States' carriers
(CTIA Messaging Principles 5.1.3: STOP, END, CANCEL, UNSUBSCRIBE, QUIT) and of the FCC (47 CFR 64.1200(a)(10): also
REVOKE and OPT OUT) and `TD` and `退订` of Chinese messages are all listed.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

_LONGEST = 120
_MOST_SEGMENTS = 4
_MOST_COURTESIES = 4
_DEFAULT = "en"
_OWN = "und"
_ENDS = str.maketrans(dict.fromkeys(".!?,;:\n\r。！？，；：、…؟،۔।·", "\n"))
_SAME_LETTERS = str.maketrans("ıёىیةکہۀ", "iеييهكهه")
_PLAIN_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"})
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]")
_OTHER_TAGS = {
    "iw": "he",
    "in": "id",
    "fil": "tl",
    "no": "nb",
    "nn": "nb",
    "zh": "zh-Hans",
    "mo": "ro",
    "sr": "hr",
    "bs": "hr",
}
_TRADITIONAL = {"hant", "tw", "hk", "mo"}


class Kind(StrEnum):
    """What a message asks for."""

    STOP = "stop"
    START = "start"


@dataclass(frozen=True, slots=True)
class Detection:
    """A message that is such a request.

    Attributes:
        kind: Stop, or start again.
        language: The language of the word (BCP 47), `und` for a tenant's own; of a word that several languages
            share, the one asked for by `hint`, else the first of the list.
        matched: The word or phrase, in the form compared.
    """

    kind: Kind
    language: str
    matched: str


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: Kind
    languages: tuple[str, ...]


class StopWords:
    """The built-in words and, before them, a tenant's own."""

    def __init__(self, extra: Iterable[str] = (), *, extra_start: Iterable[str] = ()) -> None:
        """Add a tenant's words; what is in both lists stops."""
        self._own = {_compact(word): _Entry(Kind.START, (_OWN,)) for word in extra_start}
        self._own |= {_compact(word): _Entry(Kind.STOP, (_OWN,)) for word in extra}

    def detect(self, text: str, *, hint: str | None = None) -> Detection | None:
        """Tell whether the whole message asks to stop or to start again.

        Args:
            text: The message as received.
            hint: The person's language, if known; it decides between languages that share the word.
        """
        if not text or len(text) > _LONGEST:
            return None
        return self._phrase(text, hint) or self._segments(text, hint)

    def _phrase(self, text: str, hint: str | None) -> Detection | None:
        for form in _forms(_normal(text)):
            # Somebody without the right keyboard leaves all marks out; one who types marks means them, and a form
            # with wrong marks is in neither table.
            entry = self._own.get(form) or _BUILT_IN.exact.get(form) or _BUILT_IN.unmarked.get(form)
            if entry is not None:
                return Detection(entry.kind, _choose(entry.languages, hint), form)
        return None

    def _segments(self, text: str, hint: str | None) -> Detection | None:
        """Accept several requests of the same kind, "Stop. Unsubscribe me!", and courtesies between them."""
        parts = [part for part in text.translate(_ENDS).split("\n") if _normal(part)]
        if not 1 < len(parts) <= _MOST_SEGMENTS:
            return None
        asking = [part for part in parts if _spaceless(_normal(part)) not in _BUILT_IN.courtesies]
        found = [self._phrase(part, hint) for part in asking]
        if not found or None in found or len({item.kind for item in found if item}) > 1:
            return None
        return found[0]


@lru_cache(maxsize=1024)
def stop_words(extra: tuple[str, ...] = ()) -> StopWords:
    """Return the words with a tenant's own; the same object for the same words."""
    return StopWords(extra)


def detect(text: str, *, hint: str | None = None) -> Detection | None:
    """Tell by the built-in words alone; see `StopWords.detect`."""
    return stop_words().detect(text, hint=hint)


def languages() -> tuple[str, ...]:
    """Return the languages with words and a confirmation (BCP 47)."""
    return tuple(_DATA)


def confirmation(language: str | None) -> str:
    """Return the text that confirms an opt-out, in English for a language we do not have."""
    return str(_DATA[_known(language) or _DEFAULT]["confirmation"])


def _known(language: str | None) -> str | None:
    """Return the listed language for a tag such as `pt-BR` or `zh_TW`."""
    parts = (language or "").replace("_", "-").casefold().split("-")
    if parts[0] == "zh" and _TRADITIONAL & set(parts[1:]):
        return "zh-Hant"
    base = _OTHER_TAGS.get(parts[0], parts[0])
    return base if base in _DATA else None


def _choose(languages: tuple[str, ...], hint: str | None) -> str:
    wanted = _known(hint) if hint else None
    return wanted if wanted in languages else languages[0]


def _normal(text: str) -> str:
    """Return words in lower case with single spaces; an apostrophe disappears, so that "don't" stays one word.

    Marks of Arabic and Hebrew, which are ornament there, disappear; a text of nothing but signs keeps them.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).replace("i\u0307", "i")
    letters = "".join(_letter(letter) for letter in folded)
    words = " ".join(letters.split())
    return words.translate(_SAME_LETTERS) if words else "".join(folded.replace("\ufe0f", "").split())


@lru_cache(maxsize=4096)
def _letter(letter: str) -> str:
    if letter.isalnum():
        base = unicodedata.decomposition(letter)
        return chr(int(base.split()[0], 16)) if "\u0621" <= letter <= "\u06d3" and base[:1] == "0" else letter
    category = unicodedata.category(letter)
    if category[0] == "M":
        return "" if "\u0590" <= letter <= "\u06ff" else letter
    if category == "Cf" or letter in "'’‘`´ʼ׳\"״":
        # The French elision is a word of its own; it is written with a space in the list.
        return "'" if letter in "'’" else ""
    return " "


def _without_marks(form: str) -> str:
    """Return the form without diacritics of Latin, Greek and Cyrillic letters."""
    if form.isascii():
        return form
    letters = unicodedata.normalize("NFD", form.translate(_PLAIN_LETTERS))
    bare = (letter for letter in letters if not "\u0300" <= letter <= "\u036f")
    return unicodedata.normalize("NFC", "".join(bare))


def _spaceless(form: str) -> str:
    """Join what has no spaces of its own: Chinese, Japanese, Thai, Korean; and a word spelt out, "s t o p"."""
    words = form.replace("'", "").split()
    is_spelt = len(words) > 1 and all(len(word) == 1 for word in words)
    is_unspaced = _UNSPACED.search(form) is not None
    return ("" if is_spelt or is_unspaced else " ").join(words)


def _compact(text: str) -> str:
    return _spaceless(_normal(text))


def _forms(normal: str) -> Iterator[str]:
    """Yield the ways to look the message up, the plainest first; then without courtesies, then once for "stop stop"."""
    for form in dict.fromkeys((_spaceless(normal), " ".join(normal.replace("'", " ").split()))):
        yield form
        bare = _without_courtesies(form)
        if bare != form:
            yield bare
        words = bare.split()
        if len(words) > 1 and len(set(words)) == 1:
            yield words[0]


def _without_courtesies(form: str) -> str:
    is_unspaced = _UNSPACED.search(form) is not None
    space = "" if is_unspaced else " "
    for _ in range(_MOST_COURTESIES):
        shorter = _without_one(form, space)
        if shorter == form:
            break
        form = shorter
    return form


def _without_one(form: str, space: str) -> str:
    """Take one courtesy off either end, the longest that fits; never all that there is."""
    longest, size = _BUILT_IN.longest_courtesy, len(form)
    for at in range(min(longest, size - 1), 0, -1):
        if (not space or form[at] == space) and form[:at] in _BUILT_IN.courtesies:
            return form[at:].strip()
    for at in range(max(size - longest - 1, 1), size):
        if (not space or form[at] == space) and form[at:].strip() in _BUILT_IN.courtesies:
            return form[:at]
    return form


@dataclass(frozen=True, slots=True)
class _Table:
    exact: dict[str, _Entry]
    unmarked: dict[str, _Entry]
    courtesies: frozenset[str]
    longest_courtesy: int


def _table(data: dict[str, Any]) -> _Table:
    exact: dict[str, _Entry] = {"🛑": _Entry(Kind.STOP, (_DEFAULT,))}
    unmarked: dict[str, _Entry] = {}
    courtesies = set()
    for language, words in data.items():
        for kind in Kind:
            for word in map(_compact, words[kind]):
                _enter(exact, word, kind, language)
                if words.get("fold", True):
                    _enter(unmarked, _without_marks(word), kind, language)
        courtesies |= {form for word in words["polite"] for form in (_compact(word), _without_marks(_compact(word)))}
    return _Table(exact, unmarked, frozenset(courtesies), max(map(len, courtesies)))


def _enter(table: dict[str, _Entry], word: str, kind: Kind, language: str) -> None:
    """Add a word; should two languages disagree on it, it stops."""
    known = table.get(word)
    if known is None or (known.kind is Kind.START and kind is Kind.STOP):
        table[word] = _Entry(kind, (language,))
    elif known.kind is kind and language not in known.languages:
        table[word] = _Entry(kind, (*known.languages, language))


_DATA: dict[str, Any] = json.loads(Path(__file__).with_name("stop_words.json").read_text(encoding="utf-8"))
_BUILT_IN = _table(_DATA)
