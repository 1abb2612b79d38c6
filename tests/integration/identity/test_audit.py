"""The stored chain: what is recorded, and that a tamperer with every right is found."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import ProgrammingError

from carillon.identity.audit import api as audit
from carillon.identity.audit.contracts import Anchor, Verification
from carillon.kernel.ids import uuid7
from carillon.storage.database import Database

from .conftest import Browser, Town

Owner = Any


async def record(town: Town, count: int = 1, **details: Any) -> None:
    async with town.resources.database.transaction(town.id) as tx:
        for number in range(count):
            await audit.record(tx, town.system, "test.done", uuid7(), {"number": number, **details})


async def verify(town: Town, anchor: Anchor | None = None) -> Verification:
    async with town.resources.database.transaction(town.id) as tx:
        return await audit.verify(tx, anchor)


async def test_every_kind_of_detail_verifies(town: Town):
    details = {"float": 1e300, "big": 2**70, "text": "钟楼\0\ud800", "nested": {"z": [1.0, None, {}], "a": True}}
    await record(town, 3, **details)
    found = await verify(town)
    assert (found.ok, found.entries) == (True, 4)
    assert found.head is not None
    assert await verify(town, found.head) == found


async def test_entries_are_numbered_without_gaps_even_at_once(town: Town, owner: Owner):
    async def undone() -> None:
        async with town.resources.database.transaction(town.id) as tx:
            await audit.record(tx, town.system, "test.undone")
            raise asyncio.CancelledError

    await asyncio.gather(*(record(town) for _ in range(8)), undone(), undone(), return_exceptions=True)
    numbers = await owner.fetch(
        "SELECT seq, action FROM identity.audit_entry WHERE tenant_id = $1 ORDER BY seq", town.id
    )
    assert [row["seq"] for row in numbers] == list(range(1, 10))
    assert not any(row["action"] == "test.undone" for row in numbers)
    assert (await verify(town)).ok


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("action = 'test.harmless'", "changed"),
        ("details = jsonb_set(details, '{number}', '7')", "changed"),
        ("details = details || '{\"more\": 1}'", "changed"),
        ("at = at + interval '1 microsecond'", "changed"),
        ("actor_id = gen_random_uuid()", "changed"),
        ("actor_kind = 'user'", "changed"),
        ("target = NULL", "changed"),
        ("address = '198.51.100.1'", "changed"),
        ("request_id = 'x'", "changed"),
        ("credential_id = gen_random_uuid()", "changed"),
        ("id = gen_random_uuid()", "changed"),
        ("hash = set_byte(hash, 3, get_byte(hash, 3) # 1)", "changed"),
        ("previous_hash = set_byte(previous_hash, 31, get_byte(previous_hash, 31) # 128)", "changed"),
        ("seq = 1000", "missing"),
    ],
)
async def test_a_changed_entry_is_found(town: Town, owner: Owner, change: str, reason: str):
    await record(town, 5)
    await owner.execute(f"UPDATE identity.audit_entry SET {change} WHERE tenant_id = $1 AND seq = 3", town.id)
    assert await verify(town) == Verification(ok=False, entries=2, broken_at=3, reason=reason)


async def test_a_removed_entry_is_found(town: Town, owner: Owner):
    await record(town, 5)
    await owner.execute("DELETE FROM identity.audit_entry WHERE tenant_id = $1 AND seq = 3", town.id)
    assert await verify(town) == Verification(ok=False, entries=2, broken_at=3, reason="missing")


async def test_a_cut_tail_is_found(town: Town, owner: Owner):
    await record(town, 5)
    await owner.execute("DELETE FROM identity.audit_entry WHERE tenant_id = $1 AND seq > 4", town.id)
    assert await verify(town) == Verification(ok=False, entries=4, broken_at=5, reason="truncated")


async def test_a_cut_tail_with_a_forged_head_is_found_by_the_anchor(town: Town, owner: Owner):
    await record(town, 5)
    noted = (await verify(town)).head
    await owner.execute("DELETE FROM identity.audit_entry WHERE tenant_id = $1 AND seq > 4", town.id)
    await owner.execute(
        "UPDATE identity.audit_head h SET seq = e.seq, hash = e.hash FROM identity.audit_entry e "
        "WHERE h.tenant_id = $1 AND e.tenant_id = $1 AND e.seq = 4",
        town.id,
    )
    assert (await verify(town)).ok
    assert (await verify(town, noted)).reason == "truncated"
    # Also once the chain has grown past the cut.
    await record(town, 5)
    assert (await verify(town)).ok
    assert (await verify(town, noted)).reason == "anchor_changed"


async def test_a_missing_head_is_found(town: Town, owner: Owner):
    await record(town, 2)
    await owner.execute("DELETE FROM identity.audit_head WHERE tenant_id = $1", town.id)
    assert (await verify(town)).reason == "head_changed"


async def test_removing_everything_is_found(town: Town, owner: Owner):
    await record(town, 2)
    await owner.execute("DELETE FROM identity.audit_entry WHERE tenant_id = $1", town.id)
    assert await verify(town) == Verification(ok=False, entries=0, broken_at=1, reason="truncated")


async def test_an_entry_below_the_first_is_found(town: Town, owner: Owner):
    await record(town, 2)
    await owner.execute(
        "INSERT INTO identity.audit_entry SELECT tenant_id, gen_random_uuid(), 0, at, actor_kind, actor_id, "
        "credential_id, action, target, details, address, request_id, previous_hash, hash "
        "FROM identity.audit_entry WHERE tenant_id = $1 AND seq = 1",
        town.id,
    )
    assert not (await verify(town)).ok


async def test_long_chains_are_walked_in_batches(town: Town, monkeypatch: pytest.MonkeyPatch):
    from carillon.identity.audit import repository, service

    sizes: list[int] = []
    original = repository.read_after

    async def counted(*args: Any) -> Any:
        batch = await original(*args)
        sizes.append(len(batch))
        return batch

    monkeypatch.setattr(service, "_BATCH", 4)
    monkeypatch.setattr(repository, "read_after", counted)
    await record(town, 9)
    assert (await verify(town)).entries == 10
    assert sizes == [4, 4, 2, 0]


async def test_entries_made_while_it_walks_do_no_harm(town: Town, monkeypatch: pytest.MonkeyPatch):
    from carillon.identity.audit import repository

    original = repository.read_after
    late = [3]

    async def meanwhile(*args: Any) -> Any:
        batch = await original(*args)
        if not batch and late:
            await record(town, late.pop())
        return batch

    await record(town, 2)
    monkeypatch.setattr(repository, "read_after", meanwhile)
    found = await verify(town)
    assert (found.ok, found.entries) == (True, 6)


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE identity.audit_entry SET action = 'x'",
        "DELETE FROM identity.audit_entry",
        "DELETE FROM identity.audit_head",
        "TRUNCATE identity.audit_entry",
    ],
)
async def test_the_product_cannot_change_the_past(
    app_database: Database, worker_database: Database, town: Town, role: str, statement: str
):
    database = app_database if role == "app" else worker_database
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.transaction(town.id) as tx:
            await tx.execute(statement)


async def test_secrets_and_phone_numbers_are_hidden(town: Town, owner: Owner):
    await record(town, 1, password="hunter2", note="call +49 151 23456789", nested={"api_key": "ck_abcdefghijk"})
    text = str(await owner.fetch("SELECT details FROM identity.audit_entry WHERE tenant_id = $1", town.id))
    assert "hunter2" not in text
    assert "ck_abcdefghijk" not in text
    assert "23456789" not in text
    assert (await verify(town)).ok


async def test_the_log_is_filtered_and_paged(browser: Browser, town: Town, clock):
    person = await town.add("owner")
    await browser.login(person.email)
    await record(town, 5)

    async def found(**query: Any) -> list[dict[str, Any]]:
        answer = await browser.get("/audit", query=query)
        assert answer.status == 200, answer.json()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    assert len(await found(action="test.done")) == 5
    assert len(await found(action="test.")) == 5
    assert await found(action="test") == []
    assert await found(action="%.") == []
    assert {entry["action"] for entry in await found(actor_id=str(person.id))} == {"user.signed_in"}
    target = (await found(action="test.done"))[0]["target"]
    assert len(await found(target=target)) == 1
    now = clock.now()
    assert await found(until=(now - timedelta(hours=1)).isoformat()) == []
    assert len(await found(since=(now - timedelta(hours=1)).isoformat())) >= 7

    seen: list[int] = []
    cursor = None
    while True:
        page = (await browser.get("/audit", query={"limit": 3} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [entry["seq"] for entry in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(len(seen), 0, -1))
    assert (await browser.get("/audit", query={"cursor": "WyJ4Il0"})).code == "bad_cursor"


async def test_the_log_is_verified_over_http(browser: Browser, town: Town, owner: Owner):
    person = await town.add("owner")
    await browser.login(person.email)
    first = (await browser.post("/audit/verify", {})).json()
    assert first["ok"]
    await record(town, 2)
    again = (await browser.post("/audit/verify", {"anchor": first["head"]})).json()
    assert (again["ok"], again["entries"]) == (True, first["entries"] + 2)
    await owner.execute("UPDATE identity.audit_entry SET action = 'x' WHERE tenant_id = $1 AND seq = 1", town.id)
    assert (await browser.post("/audit/verify", {})).json()["broken_at"] == 1
    assert (await browser.post("/audit/verify", {"anchor": {"seq": 1, "hash": "x"}})).code == "invalid_fields"
