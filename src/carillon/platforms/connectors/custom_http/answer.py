"""Reads the server's answers, however they are cut into pieces; knows no socket, so that every cut can be tried.

The grammar is llhttp's, in its strict mode (httptools); what it does not do is kept here: limits, interim answers,
and bodies that end with the connection.
"""

from typing import NamedTuple

import httptools

MAX_ANSWER = 64 * 1024
"""Bytes of a body that are read."""
MAX_HEAD = 16 * 1024
"""Bytes up to the end of the headers, interim answers included."""
# Chunks of one byte come with five bytes around each.
_MAX_RECEIVED = MAX_HEAD + 8 * MAX_ANSWER
_INTERIM = range(100, 200)


class NotConnected(ConnectionError):
    """No connection could be had in time: nothing was sent."""


class AnswerLost(ConnectionError):
    """The request may have been received, but there is no answer."""


class BadAnswer(Exception):
    """What came is no answer to a request of ours."""


class Answer(NamedTuple):
    """What the server said; `body` is None when it is longer than `MAX_ANSWER`."""

    status: int
    retry_after: str | None
    body: bytes | None


class AnswerReader:
    """The answers on one connection, one after the other.

    Attributes:
        reusable: After an answer: the connection may carry another request.
    """

    def __init__(self) -> None:
        """Create it for a new connection; nothing is expected yet."""
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._expecting = False
        self._received = 0
        self._answer: Answer | None = None
        self._keeps_alive = False
        self._surplus = False
        self._begin()

    def expect(self) -> None:
        """A request is about to be sent."""
        self._expecting = True
        self._received = 0
        self._answer = None

    def feed(self, data: bytes) -> Answer | None:
        """The answer, once it is whole; or as much as matters, once it is too long.

        Raises:
            BadAnswer: It is not HTTP, its head is too long, or nothing was asked.
        """
        if not self._expecting:
            raise BadAnswer
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Behind a whole answer, garbage only ends the connection.
            self._surplus = True
            if self._answer is None:
                raise BadAnswer from None
        if self._answer is not None:
            return self._whole(self._answer, reusable=self._keeps_alive and not self._surplus)
        return self._too_long()

    def end(self) -> Answer | None:
        """The server has finished speaking: the answer, if it was one that ends so (RFC 9112, 6.3)."""
        if not self._expecting or not self._until_close:
            return None
        return self._whole(Answer(self._status, self._retry_after, bytes(self._body)), reusable=False)

    def _whole(self, answer: Answer, *, reusable: bool) -> Answer:
        self._expecting = False
        self.reusable = reusable
        return answer

    def _too_long(self) -> Answer | None:
        if not self._status:
            if self._received > MAX_HEAD:
                raise BadAnswer
            return None
        if len(self._body) > MAX_ANSWER or self._received > _MAX_RECEIVED:
            return self._whole(Answer(self._status, self._retry_after, None), reusable=False)
        return None

    def _begin(self) -> None:
        self._status = 0
        self._retry_after: str | None = None
        self._delimited = False
        self._until_close = False
        self._body = bytearray()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Another answer begins, wanted or not."""
        if self._answer is None:
            self._begin()
        else:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which means nothing to us."""
        if self._status:
            return
        name = name.lower()
        if name == b"content-length":
            self._delimited = True
        elif name == b"transfer-encoding":
            self._delimited = value.lower().rstrip().endswith(b"chunked")
        elif name == b"retry-after" and self._retry_after is None:
            self._retry_after = _text(value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        if self._surplus:
            return
        status = self._parser.get_status_code()
        if status not in _INTERIM:
            self._status = status
            self._until_close = not self._delimited

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if not self._surplus and len(self._body) <= MAX_ANSWER:
            self._body += body

    def on_message_complete(self) -> None:
        """The answer is whole, unless it is an interim one (RFC 9110, 15.2)."""
        if self._status and self._answer is None:
            body = bytes(self._body) if len(self._body) <= MAX_ANSWER else None
            self._answer = Answer(self._status, self._retry_after, body)
            # Asked now: the parser forgets it with the message.
            self._keeps_alive = self._parser.should_keep_alive()


def _text(value: bytes) -> str:
    """A header's value; empty where it is there but is no text."""
    text = value.decode("latin-1")
    return text if text.isascii() and text.isprintable() else ""
