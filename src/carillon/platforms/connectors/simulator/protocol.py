"""The simulator's wire: JSON lines over TCP, requests numbered so that many may be under way at once.

Request  `{"r": 7, "op": "send", ...}`
Answer   `{"r": 7, "ok": {...}}` or `{"r": 7, "err": {"kind": "flood", ...}}`
Event    `{"ev": "updates", "items": [{"seq": 3, "at": 1.0, "kind": "status", ...}]}` or
         `{"ev": "gone", "code": "conflict", "text": "..."}`, after which the platform closes
"""

from typing import Any

import orjson

MAX_LINE = 256 * 1024
MAX_TEXT = 4096

Frame = dict[str, Any]


class FrameError(ValueError):
    """A line that is not a frame."""


def encode(frame: Frame) -> bytes:
    """One line.

    Raises:
        FrameError: The frame holds something JSON cannot carry, such as half a surrogate pair.
    """
    try:
        return orjson.dumps(frame, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        raise FrameError(str(error)) from error


def decode(line: bytes | bytearray) -> Frame:
    """The frame on one line.

    Raises:
        FrameError: It is not a JSON object.
    """
    try:
        frame = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise FrameError(str(error)) from error
    if not isinstance(frame, dict):
        raise FrameError("not an object")
    return frame


class LineBuffer:
    """Cuts a byte stream into lines."""

    def __init__(self) -> None:
        """Create an empty buffer."""
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by `data`.

        Raises:
            FrameError: A line is longer than `MAX_LINE`.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE:
            raise FrameError("line too long")
        return lines
