"""Any order of planning, pausing, resuming, cancelling and sending, against the ledger as it is sent from."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.delivery import api as delivery
from carillon.platforms.delivery import leases, ledger, repository
from carillon.scheduling.campaigns import api
from carillon.scheduling.campaigns.contracts import CampaignState, Guards
from carillon.scheduling.campaigns.errors import WrongState
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures import campaigns
from tests.fixtures.delivery import add_account, add_people, running_worker, states, until_settled

PEOPLE, SLICE = 10, 4
OPEN = (CampaignState.PLANNING, CampaignState.RUNNING)
ACTS = ("plan", "read", "send", "pause", "resume", "cancel", "tick")


@dataclass
class Sender:
    """A delivery process that owns the account, in slow motion."""

    resources: Resources
    tenant: UUID
    worker: UUID
    epochs: dict[UUID, int]
    read_ahead: list[repository.DueRow] = field(default_factory=list)

    async def read(self) -> None:
        """Read ahead what is due now; it may be stale when it is authorised."""
        async with self.resources.database.across_tenants() as tx:
            self.read_ahead = await repository.due(tx, [(self.tenant, account, 3) for account in self.epochs])

    async def send(self) -> int:
        rows, self.read_ahead = self.read_ahead, []
        if not rows:
            return 0
        async with self.resources.database.transaction(self.tenant) as tx:
            return len(await ledger.authorise(tx, self.worker, rows, self.epochs, datetime.now(UTC)))


@pytest.fixture
async def sender(worker_resources: Resources, tenant: UUID) -> AsyncIterator[Sender]:
    worker = uuid7()
    async with worker_resources.database.transaction(tenant) as tx:
        account = await add_account(tx)
        await add_people(tx, PEOPLE)
    async with worker_resources.database.across_tenants() as tx:
        await leases.enlist(tx, worker, "sender")
        (lease,) = [lease for lease in await leases.claim(tx, worker, 10_000) if lease.account_id == account]
    yield Sender(worker_resources, tenant, worker, {account: lease.epoch})
    async with worker_resources.database.across_tenants() as tx:
        await leases.retire(tx, worker)


def expected(state: CampaignState, act: str, *, planned: bool) -> CampaignState | None:
    """The state after an act of an author; None when it must be refused."""
    if act == "pause":
        return CampaignState.PAUSED if state in OPEN else None
    if act == "resume":
        after = CampaignState.RUNNING if planned else CampaignState.PLANNING
        return after if state is CampaignState.PAUSED else None
    return CampaignState.CANCELLED if state in (*OPEN, CampaignState.PAUSED) else None


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@example(acts=["plan", "read", "send", "read", "pause", "send", "resume", "read", "send", "read", "cancel", "send"])
@example(acts=["plan", "pause", "plan", "tick", "resume", "plan", "plan", "read", "cancel", "plan", "send", "tick"])
@given(acts=st.lists(st.sampled_from(ACTS), min_size=5, max_size=25))
async def test_at_any_time(sender: Sender, acts: list[str]) -> None:
    resources, tenant, database = sender.resources, sender.tenant, sender.resources.database
    async with database.transaction(tenant) as tx:
        await tx.execute("DELETE FROM platforms.message")
        await tx.execute("DELETE FROM scheduling.campaign")
    sender.read_ahead = []
    campaign_id = await campaigns.create(database, tenant, guards=Guards(failure_rate=None, opt_out_rate=None))
    campaign = await campaigns.start(database, tenant, campaign_id)
    subject, flying = system_subject(tenant), 0
    authored: dict[str, Callable[[Tx], Any]] = {
        "pause": lambda tx: api.pause(tx, campaign_id),
        "resume": lambda tx: api.resume(tx, subject, campaign_id),
        "cancel": lambda tx: api.cancel(tx, subject, campaign_id),
    }
    for act in acts:
        before = campaign
        if act == "plan":
            await one_slice(resources, tenant, campaign_id)
        elif act == "read":
            await sender.read()
        elif act == "send":
            sent = await sender.send()
            assert sent == 0 or before.state in OPEN, f"{sent} entered sending while {before.state}"
            flying += sent
        elif act == "tick":
            await api.tick(resources)
        else:
            after = expected(before.state, act, planned=before.planning_done)
            try:
                async with database.transaction(tenant) as tx:
                    assert (await authored[act](tx)).state is after
            except WrongState:
                assert after is None
        campaign = await campaigns.get(database, tenant, campaign_id)
        found = await states(database, tenant)
        assert found.get("sending", 0) == flying, "a row left or entered sending by itself"
        assert sum(found.values()) == campaign.planned, "a person twice, or one not counted"
        if campaign.state is CampaignState.CANCELLED:
            assert "queued" not in found
    if campaign.state in OPEN:
        await api.plan(resources, tenant, campaign_id)
        assert sum((await states(database, tenant)).values()) == PEOPLE


async def one_slice(resources: Resources, tenant: UUID, campaign_id: UUID) -> None:
    """Run the plan job and kill it after its first slice."""
    plan_slice, calls = delivery.plan_slice, 0

    async def once(tx: Tx, plan: Any, after: UUID | None) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise ConnectionError
        return await plan_slice(tx, plan, after, SLICE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "plan_slice", once)
        try:
            await api.plan(resources, tenant, campaign_id)
        except ConnectionError:
            return


async def test_cancelled_while_a_worker_sends(worker_resources: Resources, tenant: UUID) -> None:
    """What the platform has is what the ledger says was sent; the rest never goes."""
    began = asyncio.Event()
    database, connector = worker_resources.database, LedgerConnector(after=lambda _message: began.set())
    async with database.transaction(tenant) as tx:
        await add_account(tx)
        await add_people(tx, 400)
    campaign_id = await campaigns.planned(worker_resources, tenant)
    async with running_worker(worker_resources, {"ledger": connector}):
        await began.wait()
        async with database.transaction(tenant) as tx:
            await api.pause(tx, campaign_id)
        async with database.transaction(tenant) as tx:
            await api.resume(tx, system_subject(tenant), campaign_id)
        async with database.transaction(tenant) as tx:
            await api.cancel(tx, system_subject(tenant), campaign_id)
        found = await until_settled(database, tenant)
    assert found.keys() <= {"sent", "cancelled"}
    assert sum(found.values()) == 400
    assert len({message.peer for message in connector.accepted}) == len(connector.accepted) == found.get("sent", 0)
