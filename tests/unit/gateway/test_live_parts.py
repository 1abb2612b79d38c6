"""Ring, coalescer and permissions of the live feed, without a socket."""

from typing import Any

import pytest

from carillon.gateway.live.frames import Ring
from carillon.gateway.live.progress import Coalescer
from carillon.gateway.live.sockets import TOO_SLOW, Socket
from carillon.gateway.live.topic import permission_for
from carillon.kernel.ids import uuid7
from carillon.kernel.permissions import Permission
from carillon.kernel.subject import system_subject


def row(kind: str = "a.b", subject: str = "s", payload: int = 0) -> dict[str, Any]:
    return {"type": kind, "id": "i", "subject_id": subject, "occurred_at": None, "payload": payload}


def test_the_ring_replays_only_without_gaps() -> None:
    ring = Ring(3)
    for number in range(5):
        ring.push(row(payload=number), Permission.EVENTS_READ)
    assert [frame.seq for frame in ring.since(2) or []] == [3, 4, 5]
    assert ring.since(5) == []
    assert ring.since(1) is None
    assert ring.since(6) is None
    assert Ring(3).since(0) == []


def test_progress_is_held_back_and_the_latest_wins() -> None:
    now = 0.0
    coalescer = Coalescer(frozenset({"p.p"}), 0.5, lambda: now)
    assert coalescer.offer(row("p.p", payload=1)) is not None
    assert coalescer.offer(row("p.p", payload=2)) is None
    assert coalescer.offer(row("p.p", payload=3)) is None
    assert coalescer.offer(row("p.p", subject="other")) is not None
    assert coalescer.offer(row("x.y")) is not None
    assert coalescer.due() == []
    now = 0.5
    assert [held["payload"] for held in coalescer.due()] == [3]
    assert coalescer.offer(row("p.p", payload=4)) is None
    now = 5.0
    assert [held["payload"] for held in coalescer.due()] == [4]
    now = 6.0
    coalescer.due()
    assert not coalescer._passed_at


@pytest.mark.parametrize(
    ("event_type", "permission"),
    [
        ("contact.created", Permission.CONTACTS_READ),
        ("contact.consent.given", Permission.CONSENTS_READ),
        ("unknown.happened", None),
    ],
)
def test_the_longest_prefix_decides(event_type: str, permission: Permission | None) -> None:
    known = {"contact.": Permission.CONTACTS_READ, "contact.consent.": Permission.CONSENTS_READ}
    assert permission_for(event_type, known) is permission


def test_a_full_queue_ends_the_socket() -> None:
    socket = Socket(system_subject(uuid7()))
    for _ in range(256):
        socket.push_text("x")
    assert not socket.closing.is_set()
    socket.push_text("x")
    assert socket.closing.is_set()
    socket.close(1000)
    assert socket.close_code == TOO_SLOW
