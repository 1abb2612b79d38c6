"""HTTP of consents: a person's ledger, opt-outs, suppressed addresses, the tenant's policy."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router
from carillon.kernel.permissions import Permission

from . import api
from .contracts import Actor, Source
from .errors import NotOptedOut
from .schemas import (
    AddressIn,
    AddressKind,
    BlockedOut,
    ChangedOut,
    ConsentIn,
    LedgerEntryOut,
    OptInIn,
    OptOutIn,
    Platform,
    PolicyBody,
    PurposeIn,
    RecordedOut,
    StandingOut,
    SuppressedOut,
    SuppressionOut,
    SuppressionsIn,
)

Reader = Annotated[Context, allow(Permission.CONSENTS_READ)]
Writer = Annotated[Context, allow(Permission.CONSENTS_WRITE)]

people = router("/contacts", "consents")
suppressions = router("/suppressions", "suppressions")
policies = router("/policy", "policy")


@people.get("/{contact_id}/consents", summary="A person's consents with their evidence, newest first")
async def list_consents(context: Reader, contact_id: UUID, page: PageQuery) -> PageOut[LedgerEntryOut]:
    """The ledger of a person, including what people merged into them had said."""
    found = await api.history(context.tx, contact_id, page)
    return PageOut(items=[LedgerEntryOut.of(line) for line in found.items], next_cursor=found.next_cursor)


@people.post("/{contact_id}/consents", status_code=201, summary="Record a consent or its withdrawal")
async def record_consent(context: Writer, contact_id: UUID, body: ConsentIn) -> RecordedOut:
    """A grant needs proof; a withdrawal does not."""
    entry = body.entry(contact_id, context.subject, context.resources.clock.now())
    return RecordedOut(id=await api.record(context.tx, entry))


@people.get("/{contact_id}/standing", summary="Whether a person may be written to now")
async def get_standing(context: Reader, contact_id: UUID, platform: Platform, purpose: PurposeIn) -> StandingOut:
    """With the reason if not, and the end of the quiet hours if it is night there."""
    now = context.resources.clock.now()
    standing = await api.look_up(context.tx, contact_id, platform=platform, purpose=purpose, at=now)
    policy = await api.get_policy(context.tx)
    return StandingOut.of(standing, api.quiet_until(policy, standing.time_zones, now))


@people.post("/{contact_id}/opt-out", summary="Opt a person out of everything, on all accounts")
async def opt_out_contact(context: Writer, contact_id: UUID, body: OptOutIn) -> ChangedOut:
    """Takes effect at once; sending an opt-out twice changes nothing."""
    changed = await api.opt_out(
        context.tx,
        context.resources.vault,
        contact_id,
        source=body.source,
        proof=body.proof,
        at=body.at or context.resources.clock.now(),
        actor=Actor.of(context.subject),
    )
    return ChangedOut(changed=changed)


@people.post("/{contact_id}/opt-in", summary="Lift a person's opt-out")
async def opt_in_contact(context: Writer, contact_id: UUID, body: OptInIn) -> ChangedOut:
    """Needs proof that the person wants it. Consents are what they were before the opt-out."""
    changed = await api.opt_in(
        context.tx,
        context.resources.vault,
        contact_id,
        source=body.source,
        proof=body.proof,
        at=body.at or context.resources.clock.now(),
        actor=Actor.of(context.subject),
    )
    if not changed:
        raise NotOptedOut(contact_id=str(contact_id))
    return ChangedOut(changed=True)


@suppressions.get("", summary="Blocked addresses, newest first")
async def list_suppressions(
    context: Reader, page: PageQuery, kind: AddressKind | None = None
) -> PageOut[SuppressionOut]:
    """Only keyed hashes are kept: what is blocked can be checked, not read."""
    found = await api.list_suppressions(context.tx, page, kind=kind)
    return PageOut(items=[SuppressionOut.of(entry) for entry in found.items], next_cursor=found.next_cursor)


@suppressions.post("", status_code=201, summary="Block addresses")
async def add_suppressions(context: Writer, body: SuppressionsIn) -> SuppressedOut:
    """People known by one of the addresses are opted out."""
    addresses = [
        api.read_address(item.kind, item.value, place=f"addresses[{index}].value")
        for index, item in enumerate(body.addresses)
    ]
    done = await api.suppress_addresses(
        context.tx,
        context.resources.vault,
        addresses,
        reason=body.reason,
        source=Source.API,
        subject=context.subject,
    )
    return SuppressedOut(added=done.added, opted_out=done.opted_out)


@suppressions.post("/check", summary="Whether an address is blocked")
async def check_suppression(context: Reader, body: AddressIn) -> BlockedOut:
    """A POST, so that addresses stay out of logs of paths."""
    address = api.read_address(body.kind, body.value, place="value")
    return BlockedOut(suppressed=bool(await api.suppressed_among(context.tx, context.resources.vault, [address])))


@suppressions.delete("/{suppression_id}", status_code=204, summary="Unblock an address")
async def remove_suppression(
    context: Writer,
    suppression_id: UUID,
    reason: Annotated[str, Query(min_length=3, max_length=200, pattern=r"^[^\x00]*$")],
) -> None:
    """The reason goes on record. A person who opted out stays opted out."""
    await api.remove_suppression(context.tx, context.subject, suppression_id, reason=reason)


@policies.get("", summary="Quiet hours, frequency cap and the other rules of contact")
async def get_policy(context: Reader) -> PolicyBody:
    """The defaults where nothing was set."""
    return PolicyBody.of(await api.get_policy(context.tx))


@policies.put("", summary="Set the rules of contact")
async def put_policy(context: Writer, body: PolicyBody) -> PolicyBody:
    """Replaces them as a whole, on record."""
    policy = body.policy()
    await api.set_policy(context.tx, context.subject, policy)
    return PolicyBody.of(policy)
