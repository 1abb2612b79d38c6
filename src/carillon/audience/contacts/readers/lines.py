"""Splits a file into lines of bytes, block by block, without ever holding more than a block or a long line."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

BLOCK = 512 * 1024


class LineTooLong(Exception):
    """A line is longer than allowed; it stands between the bytes `start` and `end`."""

    def __init__(self, start: int, end: int, head: bytes) -> None:
        """Create the signal; `head` is the beginning of the line."""
        super().__init__(start, end)
        self.start = start
        self.end = end
        self.head = head


@dataclass(frozen=True, slots=True)
class LineRule:
    r"""How lines end: `end` is the encoded line feed, `step` the width of a code unit in bytes.

    With `old_mac`, lines end in a lone CR; it is read as LF, which leaves every offset as it was.
    """

    end: bytes = b"\n"
    step: int = 1
    old_mac: bool = False

    @classmethod
    def of(cls, encoding: str, *, old_mac: bool = False) -> "LineRule":
        """Return the rule of an encoding."""
        end = "\n".encode(encoding)
        return cls(end, len(end), old_mac)

    def find_last(self, data: bytes) -> int:
        """Return the place after the last line end, 0 if there is none."""
        at = data.rfind(self.end)
        while at >= 0 and at % self.step:
            at = data.rfind(self.end, 0, at + len(self.end) - 1)
        return at + len(self.end) if at >= 0 else 0

    def find_first(self, data: bytes) -> int:
        """Return the place after the first line end, 0 if there is none."""
        at = data.find(self.end)
        while at >= 0 and at % self.step:
            at = data.find(self.end, at + 1)
        return at + len(self.end) if at >= 0 else 0

    def split(self, data: bytes) -> list[bytes]:
        """Return the lines with their ends."""
        if self.step == 1:
            return BytesIO(data).readlines()
        lines, start, at = [], 0, data.find(self.end)
        while at >= 0:
            if at % self.step:
                at = data.find(self.end, at + 1)
                continue
            lines.append(data[start : at + self.step])
            start = at + self.step
            at = data.find(self.end, start)
        if start < len(data):
            lines.append(data[start:])
        return lines


def blocks(file: BinaryIO, rule: LineRule, offset: int, longest: int) -> Iterator[bytes]:
    """Yield pieces of the file that begin and end with a line, from the byte `offset` on.

    Raises:
        LineTooLong: A line of more than `longest` bytes comes next.
    """
    file.seek(offset)
    rest = b""
    while data := file.read(BLOCK):
        if rule.old_mac:
            data = data.replace(b"\r", b"\n")
        data = rest + data
        cut = rule.find_last(data)
        if len(data) - cut > longest:
            if cut:
                yield data[:cut]
            raise LineTooLong(offset + cut, _skip_line(file, rule), data[cut : cut + 2000])
        if cut:
            yield data[:cut]
        rest = data[cut:]
        offset += cut
    if rest:
        yield rest


def _skip_line(file: BinaryIO, rule: LineRule) -> int:
    """Read on until the line ends and return that place; at odd blocks of wide units the rest stays aligned."""
    while data := file.read(BLOCK):
        if rule.old_mac:
            data = data.replace(b"\r", b"\n")
        if cut := rule.find_first(data):
            return file.tell() - len(data) + cut
    return file.tell()
