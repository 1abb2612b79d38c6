"""An opt-out against the last check before the wire: whichever commits first, nothing follows the opt-out."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.kernel.ids import uuid7
from carillon.platforms.delivery import api, leases, ledger, repository
from carillon.platforms.delivery.contracts import Lease
from carillon.platforms.delivery.repository import DueRow
from tests.faults.field import Field
from tests.faults.ground import Ground
from tests.faults.outcome import Outcome, Scenario

AT_ONCE = 8
"""Races side by side: each takes two connections of the pool's forty."""


async def run(ground: Ground, quick: bool) -> list[Outcome]:
    rounds = 300 if quick else 10_000
    async with ground.field("opt-out-race") as place:
        since = time.monotonic()
        ends = await _race_all(place, rounds)
        seconds = time.monotonic() - since
        late = sum(count for (then, now), count in ends.items() if then != "sending" and now == "sending")
        first = ends[("sending", "sending")]
        broken = [f"{late} authorised after the opt-out had committed"] if late else []
        if not 0 < first < rounds:
            broken.append("there was no race")
        note = f"{first} authorised before the opt-out committed, {rounds - first} stopped by it"
        fault = f"opt-out racing the last check, {rounds:,}×"
        # Nothing is sent here: what counts is the order of the two commits.
        return [Outcome(fault, 0, 0, late, 0, seconds, note, tuple(broken))]


async def _race_all(place: Field, rounds: int) -> Counter[tuple[str, str]]:
    """How often each pair of states came about: when the opt-out had committed, and when both were over."""
    (account_id,) = await place.add_accounts("telegram", 1, rate=30.0)
    await place.send_to_new_people(rounds, "telegram", [account_id])
    worker, jitter = uuid7(), random.Random(11)
    async with place.database.across_tenants() as tx:
        await leases.enlist(tx, worker, "race")
        (lease,) = [lease for lease in await leases.claim(tx, worker, 10_000) if lease.account_id == account_id]
        rows = await repository.due(tx, [(place.tenant, account_id, rounds)])
    assert len(rows) == rounds
    ends: Counter[tuple[str, str]] = Counter()
    for start in range(0, rounds, AT_ONCE):
        async with place.database.across_tenants() as tx:
            assert await leases.renew(tx, worker)
        ends.update(await _race(place, worker, lease, rows[start : start + AT_ONCE], jitter))
    return ends


async def _race(
    place: Field, worker: UUID, lease: Lease, rows: Sequence[DueRow], jitter: random.Random
) -> list[tuple[str, str]]:
    """Some races side by side; the states of each message."""
    return await asyncio.gather(*[_one(place, worker, lease, row, jitter) for row in rows])


async def _one(place: Field, worker: UUID, lease: Lease, row: DueRow, jitter: random.Random) -> tuple[str, str]:
    async def authorise(pause: float) -> None:
        await asyncio.sleep(pause)
        async with place.database.transaction(lease.tenant_id) as tx:
            await ledger.authorise(tx, worker, [row], {lease.account_id: lease.epoch}, datetime.now(UTC))

    async def opt_out(pause: float) -> str:
        await asyncio.sleep(pause)
        async with place.database.transaction(lease.tenant_id) as tx:
            at, vault = datetime.now(UTC), place.prepared.vault
            await consents.opt_out(tx, vault, row.contact_id, source="message", proof="STOP", at=at)
        return await _state(place, row.id)

    _, then = await asyncio.gather(authorise(jitter.uniform(0, 0.006)), opt_out(jitter.uniform(0, 0.006)))
    return then, await _state(place, row.id)


async def _state(place: Field, message_id: UUID) -> str:
    async with place.database.transaction(place.tenant) as tx:
        return str((await api.get(tx, message_id)).state)


SCENARIO = Scenario(
    "opt-out-race",
    "A person's opt-out and the authorisation of a message to that person, started within 6 ms of each other. Once the "
    "opt-out has committed, no message may enter `sending`.",
    run,
)
