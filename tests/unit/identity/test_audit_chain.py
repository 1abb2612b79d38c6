"""The chain finds every change: of any byte, of order, of length."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.identity.audit.chain import GENESIS, Walker, entry_hash, plain
from carillon.identity.audit.contracts import Anchor, AuditEntry, Verification
from carillon.kernel.ids import uuid7

TENANT = uuid7()


def make_chain(length: int) -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    previous = GENESIS
    for seq in range(1, length + 1):
        entry = AuditEntry(
            tenant_id=TENANT,
            id=uuid7(),
            seq=seq,
            at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seq, microseconds=seq),
            actor_kind="user",
            actor_id=uuid7(),
            credential_id=uuid7(),
            action="contact.erased",
            target=str(uuid7()),
            details={"name": f"Zoë {seq}", "list": [1, True, None], "nested": {"b": "1.5", "a": 2}},
            address="192.0.2.1",
            request_id="request-1",
            previous_hash=previous,
            hash=b"",
        )
        entry = replace(entry, hash=entry_hash(entry))
        previous = entry.hash
        entries.append(entry)
    return entries


def walk(entries: list[AuditEntry], head: Anchor | None, anchor: Anchor | None = None) -> Verification:
    walker = Walker(anchor)
    for entry in entries:
        if not walker.step(entry):
            break
    return walker.finish(head)


def end_of(entries: list[AuditEntry]) -> Anchor:
    return Anchor(entries[-1].seq, entries[-1].hash) if entries else Anchor(0, GENESIS)


def flip(value: Any, position: int, bit: int) -> Any:  # noqa: PLR0911 - one for each kind
    """The value with one bit of its bytes turned over, or None when that is no value of its kind."""
    if isinstance(value, UUID):
        return UUID(bytes=flip(value.bytes, position, bit))
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1 << (position + bit) % 40)
    if isinstance(value, int):
        return value ^ 1 << bit
    if isinstance(value, dict):
        changed = flip(orjson.dumps(value), position, bit)
        try:
            loaded = orjson.loads(changed)
        except orjson.JSONDecodeError:
            return None
        return loaded if isinstance(loaded, dict) else None
    raw = value.encode() if isinstance(value, str) else value
    position %= len(raw)
    turned = raw[:position] + bytes([raw[position] ^ 1 << bit]) + raw[position + 1 :]
    if isinstance(value, bytes):
        return turned
    return turned.decode(errors="ignore")


@given(
    st.integers(0, 4),
    st.sampled_from(list(AuditEntry.__slots__)),
    st.integers(0, 500),
    st.integers(0, 7),
)
def test_any_changed_byte_is_found(index: int, field: str, position: int, bit: int):
    entries = make_chain(5)
    before = getattr(entries[index], field)
    if isinstance(before, dict):
        position %= len(orjson.dumps(before))
    after = flip(before, position, bit)
    if after is None or after == before:
        return
    head = end_of(entries)
    entries[index] = replace(entries[index], **{field: after})
    found = walk(entries, head)
    assert not found.ok
    assert found.broken_at == index + 1
    assert found.entries == index


def test_a_whole_chain_is_good():
    entries = make_chain(4)
    assert walk(entries, end_of(entries)) == Verification(ok=True, entries=4, head=end_of(entries))
    assert walk([], None).ok
    assert walk([], Anchor(0, GENESIS)).ok


@pytest.mark.parametrize("removed", [0, 1, 2])
def test_a_removed_entry_is_found(removed: int):
    entries = make_chain(4)
    head = end_of(entries)
    del entries[removed]
    assert walk(entries, head) == Verification(ok=False, entries=removed, broken_at=removed + 1, reason="missing")


def test_a_cut_tail_is_found_by_the_head():
    entries = make_chain(4)
    head = end_of(entries)
    assert walk(entries[:-1], head) == Verification(ok=False, entries=3, broken_at=4, reason="truncated")


def test_a_cut_tail_with_a_forged_head_is_found_by_the_anchor():
    entries = make_chain(4)
    noted = end_of(entries)
    assert walk(entries[:-1], end_of(entries[:-1])).ok
    assert walk(entries[:-1], end_of(entries[:-1]), noted).reason == "truncated"


def test_a_rewritten_chain_is_found_by_the_anchor():
    noted = end_of(make_chain(3))
    rewritten = make_chain(4)
    assert walk(rewritten, end_of(rewritten)).ok
    assert walk(rewritten, end_of(rewritten), noted) == Verification(
        ok=False, entries=2, broken_at=3, reason="anchor_changed"
    )


@pytest.mark.parametrize("head", [None, Anchor(2, bytes(32)), Anchor(3, bytes(32))])
def test_a_head_that_does_not_fit_is_found(head: Anchor | None):
    assert walk(make_chain(3), head).reason == "head_changed"


def test_swapped_entries_are_found():
    entries = make_chain(3)
    first = replace(entries[0], seq=2)
    assert not walk([entries[0], first, entries[2]], end_of(entries)).ok


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(JSON)
def test_details_are_stable_under_storage(value: Any):
    stored = plain(value)
    assert orjson.loads(orjson.dumps(stored)) == stored
    assert plain(stored) == stored
    assert b"\\u0000" not in orjson.dumps(stored)


def test_details_take_what_services_hold():
    held = {"id": TENANT, "at": datetime(2026, 1, 1, tzinfo=UTC), 1: (1.5, 2**60), "set": frozenset({"x"})}
    assert plain(held) == {
        "id": str(TENANT),
        "at": "2026-01-01T00:00:00+00:00",
        "1": ["1.5", str(2**60)],
        "set": ["x"],
    }
    with pytest.raises(TypeError):
        plain({"raw": b"bytes"})
