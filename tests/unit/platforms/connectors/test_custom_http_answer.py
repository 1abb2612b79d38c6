"""Answers cut into any pieces, too long, mangled, or not asked for: read alike, or refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.platforms.connectors.custom_http.answer import (
    MAX_ANSWER,
    MAX_HEAD,
    Answer,
    AnswerReader,
    BadAnswer,
)

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Case:
    """Bytes of a server, and what they mean."""

    raw: bytes
    answer: Answer
    reusable: bool
    ended: bool = False


def read(pieces: Sequence[bytes], *, ended: bool = False) -> tuple[Answer | None, bool]:
    """The first answer in the pieces, and whether the connection may be used again."""
    reader = AnswerReader()
    reader.expect()
    for piece in pieces:
        answer = reader.feed(piece)
        if answer is not None:
            return answer, reader.reusable
    return (reader.end() if ended else None), reader.reusable


def cut(raw: bytes, places: set[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


BODIES = st.binary(max_size=300)
STATUSES = st.integers(200, 599).filter(lambda status: status not in (204, 304))
INTERIM = st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nRetry-After: 9\r\n\r\n"])
NOISE = st.lists(
    st.sampled_from([b"Server: x", b"X-Y: z\t ", b"Keep-Alive: timeout=5", b"retry-aftermath: 3"]), max_size=3
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """An answer in one of the ways to mark its end."""
    body, status, retry = draw(BODIES), draw(STATUSES), draw(st.sampled_from([None, "5", ""]))
    kind = draw(st.sampled_from(["length", "chunked", "close"]))
    lines = [b"HTTP/1.1 %d X" % status, *draw(NOISE)]
    if retry is not None:
        lines.append(b"RETRY-after: " + retry.encode())
    if kind == "length":
        lines.append(b"Content-Length: %d" % len(body))
    elif kind == "chunked":
        lines.append(b"Transfer-Encoding: Chunked")
    closes = draw(st.booleans())
    if closes:
        lines.append(b"Connection: close")
    wire = chunked(draw, body) if kind == "chunked" else body
    raw = draw(INTERIM) + b"\r\n".join(lines) + b"\r\n\r\n" + wire
    return Case(raw, Answer(status, retry, body), reusable=not closes and kind != "close", ended=kind == "close")


def chunked(draw: st.DrawFn, body: bytes) -> bytes:
    parts, rest = [], body
    while rest:
        size = draw(st.integers(1, len(rest)))
        parts.append(b"%x;why=not\r\n%b\r\n" % (size, rest[:size]))
        rest = rest[size:]
    trailer = draw(st.sampled_from([b"", b"Retry-After: 77\r\n"]))
    return b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


@given(cases(), st.sets(st.integers(0, 2_000), max_size=20))
def test_an_answer_means_the_same_however_it_is_cut(case: Case, places: set[int]) -> None:
    assert read(cut(case.raw, places), ended=case.ended) == (case.answer, case.reusable)
    assert read([bytes([one]) for one in case.raw], ended=case.ended) == (case.answer, case.reusable)


@given(cases(), st.integers(0, 2_000))
def test_half_an_answer_is_none(case: Case, place: int) -> None:
    half = case.raw[: place % max(1, len(case.raw))]
    head = half.partition(b"\r\n\r\n")[1]
    if not (case.ended and head):  # what ends with the connection cannot be told from its half
        assert read([half])[0] is None


@given(cases(), st.binary(min_size=1, max_size=50).filter(lambda more: more.strip(b"\r\n")))
def test_nothing_may_follow_an_answer(case: Case, more: bytes) -> None:
    if case.ended:
        return
    assert read([case.raw + more]) == (case.answer, False)
    reader = AnswerReader()
    reader.expect()
    assert reader.feed(case.raw) == case.answer
    with pytest.raises(BadAnswer):
        reader.feed(more)


@given(cases(), cases())
def test_answers_follow_each_other_on_one_connection(first: Case, second: Case) -> None:
    if not first.reusable:
        return
    reader = AnswerReader()
    for case in (first, second):
        reader.expect()
        assert (reader.feed(case.raw) or reader.end()) == case.answer
        assert reader.reusable == case.reusable


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_garbage_does_no_harm(pieces: list[bytes]) -> None:
    try:
        answer, _ = read(pieces, ended=True)
    except BadAnswer:
        return
    assert answer is None or isinstance(answer, Answer)


@given(cases(), st.integers(0, 2_000), st.integers(0, 255))
def test_one_wrong_byte_does_no_harm(case: Case, place: int, byte: int) -> None:
    raw = bytearray(case.raw)
    raw[place % len(raw)] = byte
    try:
        read(cut(bytes(raw), {place}), ended=True)
    except BadAnswer:
        return


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        OK + b"Content-Length: -2\r\n\r\nok",
        OK + b"Content-Length: 99999999999999999999999\r\n\r\nok",
        OK + b"Content-Length : 2\r\n\r\nok",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        read([raw], ended=True)


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.0 200 OK\r\n\r\nok", False),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nok", False),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
    ],
)
def test_old_and_odd_answers(raw: bytes, *, reusable: bool) -> None:
    assert read([raw], ended=True) == (Answer(200, None, b"ok"), reusable)


def test_an_answer_without_a_body_needs_no_length() -> None:
    assert read([b"HTTP/1.1 204 X\r\n\r\n"]) == (Answer(204, None, b""), True)


@pytest.mark.parametrize(("value", "text"), [(b"5", "5"), (b"", ""), (b"\xe9\xff", "")])
def test_the_first_retry_after_counts(value: bytes, text: str) -> None:
    raw = b"HTTP/1.1 429 X\r\nRetry-After: %b\r\nRetry-After: 99\r\nContent-Length: 0\r\n\r\n" % value
    assert read([raw]) == (Answer(429, text, b""), True)


@pytest.mark.parametrize(
    "piece", [b"X-Long: " + b"x" * 1_000, b"X: y\r\n" * 100, b"\r\nHTTP/1.1 100 Continue\r\n\r\n" * 50]
)
def test_a_head_without_end_is_cut_off(piece: bytes) -> None:
    start = b"HTTP/1.1 100 Continue\r\n" if b"100" in piece else OK
    enough = MAX_HEAD // len(piece)
    assert read([start] + [piece] * (enough - 1))[0] is None
    with pytest.raises(BadAnswer):
        read([start] + [piece] * (enough + 1))


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"Content-Length: 9999999999\r\n\r\n", b"x" * 10_000),
        (b"\r\n", b"x" * 10_000),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1_024 + b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 10_000),
    ],
)
def test_a_body_without_end_is_cut_off_but_its_status_counts(head: bytes, piece: bytes) -> None:
    reader = AnswerReader()
    reader.expect()
    answer = reader.feed(b"HTTP/1.1 404 X\r\n" + head)
    fed = 0
    while answer is None:
        assert fed < 9 * MAX_ANSWER
        fed += len(piece)
        answer = reader.feed(piece)
    assert (answer, reader.reusable) == (Answer(404, None, None), False)


@pytest.mark.parametrize("size", [MAX_ANSWER, MAX_ANSWER + 1])
def test_the_longest_body(size: int) -> None:
    raw = OK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
    assert read([raw])[0] == Answer(200, None, b"x" * size if size <= MAX_ANSWER else None)


def test_nothing_is_read_that_was_not_asked_for() -> None:
    with pytest.raises(BadAnswer):
        AnswerReader().feed(OK + b"Content-Length: 0\r\n\r\n")
    assert AnswerReader().end() is None
