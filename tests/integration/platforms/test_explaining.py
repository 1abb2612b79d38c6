"""The life of a message in words: whatever happened to it, a person learns what, why, and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Actor, ConsentEntry
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.errors import AccountError, FailureClass, Flooded, Rejected, Uncertain
from carillon.platforms.connectors.port import AccountState, Outbound, Status, StatusUpdate
from carillon.platforms.delivery import api
from carillon.platforms.delivery.contracts import Draft, MessageState
from carillon.platforms.delivery.errors import MessageNotFound, NotResendable
from carillon.platforms.delivery.explaining import Explanation, Step
from carillon.platforms.delivery.telling import Language
from carillon.platforms.delivery.vocabulary import SENTENCES
from carillon.storage.database import Database
from carillon.storage.resources import Resources
from tests.fakes.ledger_connector import LedgerConnector
from tests.fixtures.database import VAULT
from tests.fixtures.delivery import (
    add_account,
    add_people,
    make_plan,
    quiet_off,
    running_worker,
    until_settled,
)

SERVICE = {"service": {"*": {"status": "granted", "until": None}}}


@pytest.fixture
async def loud(tenant: UUID, owner: "asyncpg.Connection[asyncpg.Record]") -> UUID:
    await quiet_off(owner, tenant)
    return tenant


async def accepted(database: Database, tenant: UUID, account: UUID, **changes: Any) -> UUID:
    async with database.transaction(tenant) as tx:
        person = (await add_people(tx, 1, consents=SERVICE))[0]
        made = await api.accept(tx, Draft(account_id=account, contact_id=person, body="secret words", **changes))
    return made.id


async def new_account(database: Database, tenant: UUID, **values: Any) -> UUID:
    async with database.transaction(tenant) as tx:
        return await add_account(tx, **values)


async def explained(database: Database, tenant: UUID, message_id: UUID) -> Explanation:
    async with database.transaction(tenant) as tx:
        found = await api.explain(tx, message_id)
    for language in Language:
        for step in (*found.steps, found.now, found.next, *found.advice):
            assert api.tell(step, language)
            assert "secret words" not in api.tell(step, language)
    return found


def codes(found: Explanation) -> list[str]:
    return [step.code for step in found.steps]


def advice(found: Explanation) -> list[str]:
    return [step.code for step in found.advice]


async def test_a_message_that_was_read(worker_resources: Resources, loud: UUID) -> None:
    database, connector, actor = worker_resources.database, LedgerConnector(), uuid7()
    account = await new_account(database, loud)
    message = await accepted(database, loud, account, actor_id=actor)
    async with running_worker(worker_resources, {"ledger": connector}):
        await until_settled(database, loud)
        later = datetime.now(UTC)
        session = next(one for one in connector.sessions if one.account.id == account)
        for status in (Status.DELIVERED, Status.READ):
            await session.sink.accept([StatusUpdate(status, later, message_id=message)])
    found = await explained(database, loud, message)
    told = codes(found)
    assert [code for code in told if code != "account_became"] == [
        "accepted_by",
        "authorised",
        "became_sent",
        "became_delivered",
        "became_read",
    ]
    assert "account_became" in told
    authorised = next(step for step in found.steps if step.code == "authorised")
    assert authorised.values == {"epoch": 1, "account": account, "attempts": 1}
    assert (found.now.code, found.next.code, advice(found)) == ("is_done", "nothing", [])
    assert str(actor) in api.tell(found.steps[0], Language.ENGLISH)
    assert "平台报告已读" in api.tell(found.steps[-1], Language.CHINESE)


async def test_planned_messages_tell_of_their_campaigns_gate(worker_resources: Resources, loud: UUID) -> None:
    database = worker_resources.database
    account = await new_account(database, loud)
    async with database.transaction(loud) as tx:
        await add_people(tx, 1)
        plan = make_plan(loud, [account])
        await api.write_contents(tx, plan)
        await api.plan_slice(tx, plan, None, 100)
        message = await tx.scalar("SELECT id FROM platforms.message WHERE tenant_id = :t", {"t": loud})
    assert (await explained(database, loud, message)).now.code == "gate_shut"
    for change in (api.open_lane, api.pause_lane):
        async with database.transaction(loud) as tx:
            await change(tx, plan.campaign_id)
    found = await explained(database, loud, message)
    assert codes(found) == ["planned", "gate_running", "gate_paused"]
    assert (found.now.code, found.next.code) == ("gate_shut", "goes_when_gate_opens")
    assert advice(found) == ["resume_campaign", "cancel"]
    assert str(plan.campaign_id) in api.tell(found.advice[0], Language.ENGLISH)


async def test_why_a_queued_message_waits(worker_resources: Resources, loud: UUID) -> None:
    database, now = worker_resources.database, datetime.now(UTC)
    free = await new_account(database, loud)
    message = await accepted(database, loud, free)
    assert (await explained(database, loud, message)).now.code == "no_owner"
    later = await accepted(database, loud, free, due_at=now + timedelta(hours=1))
    assert (await explained(database, loud, later)).now.code == "not_due"
    async with database.transaction(loud) as tx:
        await tx.execute(
            "UPDATE platforms.account SET state = 'flooded', wait_until = :at WHERE id = :a",
            {"a": free, "at": now + timedelta(hours=1)},
        )
    found = await explained(database, loud, message)
    assert (found.now.code, found.next.code) == ("flooded", "goes_after")


async def test_quiet_hours_are_named(
    worker_resources: Resources, tenant: UUID, owner: "asyncpg.Connection[Any]"
) -> None:
    """From a minute after midnight until 23:59: whatever the time of day, the due time is their end."""
    database = worker_resources.database
    await owner.execute(
        "INSERT INTO audience.policy (tenant_id, quiet_start, quiet_end, frequency_max, frequency_days, time_zone) "
        "VALUES ($1, '00:01', '23:59', NULL, 7, 'UTC')",
        tenant,
    )
    account = await new_account(database, tenant)
    midnight = datetime.now(UTC).replace(hour=23, minute=59, second=0, microsecond=0) + timedelta(days=1)
    async with database.transaction(tenant) as tx:
        await add_people(tx, 1)
        plan = make_plan(tenant, [account])
        await api.write_contents(tx, plan)
        await api.plan_slice(tx, plan, None, 100)
        await api.open_lane(tx, plan.campaign_id)
        message = await tx.scalar(
            "UPDATE platforms.message SET due_at = :at WHERE tenant_id = :t RETURNING id", {"t": tenant, "at": midnight}
        )
    found = await explained(database, tenant, message)
    assert found.now == Step(None, "quiet_hours", {"until": midnight})


async def test_what_was_put_back_held_failed_or_is_unknown(worker_resources: Resources, loud: UUID) -> None:
    database = worker_resources.database
    raised: dict[str, Exception] = {}
    accounts_of: dict[str, UUID] = {}
    messages: dict[str, UUID] = {}
    for name, error in {
        "flood": Flooded("Slow down.", retry_after=600, only_peer=True),
        "ban": AccountError("Banned for spam.", state=AccountState.BANNED),
        "bad": Rejected("No such user.", failure=FailureClass.RECIPIENT, platform_code="131026"),
        "lost": Uncertain("Reset."),
    }.items():
        accounts_of[name] = await new_account(database, loud)
        messages[name] = await accepted(database, loud, accounts_of[name])
        raised[str(messages[name])] = error

    def before(message: Outbound) -> None:
        raise raised[str(message.id)]

    connector = LedgerConnector(deduplicates=False, before=before)
    async with running_worker(worker_resources, {"ledger": connector}):
        while set(await states_of(database, loud)) != {"queued", "held", "failed", "unknown"}:
            async with database.transaction(loud) as tx:
                await tx.scalar("SELECT pg_sleep(0.05)")
    put_back = await explained(database, loud, messages["flood"])
    assert (put_back.now.code, put_back.now.values["attempts"]) == ("put_back", 1)
    held = await explained(database, loud, messages["ban"])
    assert "became_held" in codes(held)
    assert "Banned for spam." in api.tell(held.now, Language.ENGLISH)
    assert advice(held) == ["mend_account", "cancel"]
    failed = await explained(database, loud, messages["bad"])
    sentence = api.tell(next(step for step in failed.steps if step.code == "became_failed"), Language.ENGLISH)
    assert sentence == "It failed: the recipient cannot be reached (131026). No such user."
    assert advice(failed) == ["mend_cause", "resend"]
    lost = await explained(database, loud, messages["lost"])
    assert (lost.now.code, advice(lost)) == ("unknown", ["wait_for_status"])
    await resent(database, loud, messages["lost"])


async def states_of(database: Database, tenant: UUID) -> list[str]:
    async with database.transaction(tenant) as tx:
        return [
            row["state"]
            for row in await tx.all("SELECT state FROM platforms.message WHERE tenant_id = :t", {"t": tenant})
        ]


async def resent(database: Database, tenant: UUID, message: UUID) -> None:
    """Sent again by hand, both messages tell of each other, and nobody is asked about the old one again."""
    actor = uuid7()
    async with database.transaction(tenant) as tx:
        await tx.execute(
            "UPDATE platforms.message SET sending_at = now() - interval '1 hour' WHERE id = :id", {"id": message}
        )
    unconfirmed = await explained(database, tenant, message)
    assert (unconfirmed.now.code, advice(unconfirmed)) == ("unconfirmed", ["resend_at_risk"])
    async with database.transaction(tenant) as tx:
        again = await api.resend(tx, message, actor)
        with pytest.raises(NotResendable):
            await api.resend(tx, message, actor)
    old, new = await explained(database, tenant, message), await explained(database, tenant, again.id)
    assert next(step for step in old.steps if step.code == "resent").values == {"as": again.id, "actor": actor}
    assert (old.now.code, advice(old)) == ("unknown_resent", [])
    assert next(step for step in new.steps if step.code == "accepted_again").values["original"] == message
    async with database.transaction(tenant) as tx:
        assert not (await api.get(tx, message)).unconfirmed


async def test_what_was_suppressed_points_to_the_evidence(worker_resources: Resources, loud: UUID) -> None:
    database = worker_resources.database
    account = await new_account(database, loud)
    async with database.transaction(loud) as tx:
        silent, out, withdrew = await add_people(tx, 3, consents={})
        await consents.opt_out(tx, VAULT, out, source="message", proof="please STOP it", at=datetime.now(UTC))
        entry = ConsentEntry(
            withdrew, "marketing", "granted", "form", datetime.now(UTC), Actor("system"), proof="my private words"
        )
        await consents.record(tx, entry)
        taken_back = ConsentEntry(withdrew, "marketing", "withdrawn", "form", datetime.now(UTC), Actor("system"))
        entry_id = await consents.record(tx, taken_back)
        plan = make_plan(loud, [account])
        await api.write_contents(tx, plan)
        await api.plan_slice(tx, plan, None, 100)
        ids = {
            row["contact_id"]: row["id"]
            for row in await tx.all("SELECT id, contact_id FROM platforms.message WHERE tenant_id = :t", {"t": loud})
        }
    nothing = await explained(database, loud, ids[silent])
    assert "no_evidence" in codes(nothing)
    gone = await explained(database, loud, ids[out])
    words = " ".join(api.tell(step, Language.ENGLISH) for step in gone.steps)
    assert "the person opted out" in words
    assert "please STOP it" not in words
    back = await explained(database, loud, ids[withdrew])
    evidence = next(step for step in back.steps if step.code == "evidence")
    assert evidence.values["entry"] == entry_id
    assert "my private words" not in str(evidence)
    assert back.now.code == "is_suppressed"


async def test_restored_orphaned_and_cancelled(worker_resources: Resources, loud: UUID) -> None:
    database = worker_resources.database
    account = await new_account(database, loud)
    restored, orphaned, cancelled = [await accepted(database, loud, account) for _ in range(3)]
    async with database.transaction(loud) as tx:
        await tx.execute(
            "UPDATE platforms.message SET state = 'held', reason = 'restored' WHERE id = :id", {"id": restored}
        )
        await tx.execute(
            "UPDATE platforms.message SET state = 'sending', sending_at = now(), attempts = 1, epoch = 7 "
            "WHERE id = :id",
            {"id": orphaned},
        )
        await api.cancel(tx, cancelled)
    assert advice(await explained(database, loud, restored)) == ["release_restored", "cancel"]
    adrift = await explained(database, loud, orphaned)
    assert (adrift.now.code, adrift.next.code) == ("in_flight_orphaned", "next_owner_decides")
    assert (await explained(database, loud, cancelled)).state is MessageState.CANCELLED


async def test_accounts_that_stopped_are_named_with_what_to_do(worker_resources: Resources, loud: UUID) -> None:
    database = worker_resources.database
    account = await new_account(database, loud)
    message = await accepted(database, loud, account)
    async with database.transaction(loud) as tx:
        await accounts.park(tx, system_subject(loud), account)
    found = await explained(database, loud, message)
    assert found.now.code == "account_cannot"
    assert "account_became" in codes(found)
    async with database.transaction(loud) as tx:
        await tx.execute("UPDATE audience.contact SET opted_out_at = now() WHERE tenant_id = :t", {"t": loud})
        await tx.execute("UPDATE platforms.account SET state = 'online' WHERE id = :a", {"a": account})
    assert (await explained(database, loud, message)).now.code == "would_be_refused"


async def test_nobody_explains_the_messages_of_others(
    worker_resources: Resources, loud: UUID, other_tenant: UUID
) -> None:
    database = worker_resources.database
    message = await accepted(database, loud, await new_account(database, loud))
    with pytest.raises(MessageNotFound):
        await explained(database, other_tenant, message)


def test_every_sentence_stands_in_both_languages() -> None:
    for code, (english, chinese) in SENTENCES.items():
        assert english.isascii(), code
        assert english != chinese, code
        for name in ("{id}", "{reason}", "{account}", "{campaign}", "{until}", "{at}"):
            assert (name in english) == (name in chinese), code
