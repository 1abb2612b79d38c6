r"""Walks through a large JSON file without holding it: reads scalars, skips values of any size.

Strings are matched as bytes, so nothing is decoded that nobody asks for. The skipping expression uses
possessive repeats (Python 3.11), which never step back: its time is linear in the bytes.
"""

import json
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import BrokenFile, TruncatedFile

_BLOCK = 256 * 1024
_SPACE = re.compile(rb"[\s,:]*+")
_STRING = re.compile(rb'"(?>[^"\\]++|\\.)*+"', re.DOTALL)
_ATOM = re.compile(rb"[-+.\w]++")
_PLAIN = re.compile(rb'(?>[^"\[\]{}]++|"(?>[^"\\]++|\\.)*+")*+', re.DOTALL)
_OPEN, _CLOSE = b"[{", b"]}"

Scalar = str | int | float | bool | None


class JsonCursor:
    """A place in a JSON file; `offset` is its byte."""

    def __init__(self, path: Path, *, offset: int = 0, longest: int) -> None:
        """Open the file at `offset`; a string or number of more than `longest` bytes is an error."""
        self._file = path.open("rb")
        self._file.seek(offset)
        self._base = offset
        self._data = b""
        self._at = 0
        self._longest = longest

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def offset(self) -> int:
        """The byte this stands at."""
        return self._base + self._at

    def peek(self) -> bytes:
        """Return the next significant byte without taking it, empty at the end of the file."""
        while True:
            match = _SPACE.match(self._data, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._data):
                return self._data[self._at : self._at + 1]
            if not self._more():
                return b""

    def enter(self, bracket: bytes) -> None:
        """Take an opening bracket.

        Raises:
            BrokenFile: Something else stands here.
        """
        if self.peek() != bracket:
            raise self.broken(f"{bracket.decode()} was expected")
        self._at += 1

    def leaves(self, bracket: bytes) -> bool:
        """Take the closing bracket if it is next."""
        following = self.peek()
        if not following:
            raise TruncatedFile(place=f"byte {self.offset}")
        if following != bracket:
            return False
        self._at += 1
        return True

    def scalar(self) -> Scalar:
        """Take a string, number, true, false or null."""
        raw = self._take(_STRING if self.peek() == b'"' else _ATOM)
        try:
            value: Scalar = json.loads(raw)
        except ValueError:
            raise self.broken("a value was expected") from None
        return value

    def key(self) -> str:
        """Take a member's name."""
        if self.peek() != b'"':
            raise self.broken("a name was expected")
        return str(self.scalar())

    def value(self) -> Scalar:
        """Take a scalar; skip anything else and give None."""
        if self.peek() in {b"[", b"{"}:
            self.skip()
            return None
        return self.scalar()

    def skip(self) -> None:
        """Pass over one value of any size."""
        if self.peek() not in {b"[", b"{"}:
            self.scalar()
            return
        depth = 0
        while True:
            depth += self._step()
            if depth == 0:
                return

    def _step(self) -> int:
        """Pass to the next bracket and take it: 1 if it opens, -1 if it closes."""
        while True:
            match = _PLAIN.match(self._data, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._data) and self._data[self._at] != ord('"'):
                break
            if not self._more():
                raise TruncatedFile(place=f"byte {self.offset}")
        self._at += 1
        return 1 if self._data[self._at - 1] in _OPEN else -1

    def _take(self, pattern: re.Pattern[bytes]) -> bytes:
        while True:
            match = pattern.match(self._data, self._at)
            complete = match is not None and (pattern is _STRING or match.end() < len(self._data))
            if match is not None and (complete or not self._more()):
                self._at = match.end()
                return match[0]
            if match is None and (pattern is _ATOM or not self._more()):
                raise self._missing()

    def _more(self) -> bool:
        """Read on, dropping what was passed; False at the end of the file."""
        if len(self._data) - self._at > self._longest:
            raise self.broken("a value is longer than allowed")
        chunk = self._file.read(_BLOCK)
        self._base += self._at
        self._data = self._data[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def _missing(self) -> BrokenFile | TruncatedFile:
        at_end = self._data[self._at : self._at + 1] in {b"", b'"'}
        return TruncatedFile(place=f"byte {self.offset}") if at_end else self.broken("a value was expected")

    def broken(self, why: str) -> BrokenFile:
        """Return the error for this place."""
        return BrokenFile(f"The JSON is damaged: {why}.", place=f"byte {self.offset}")
