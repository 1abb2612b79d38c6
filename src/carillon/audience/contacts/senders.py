"""Who wrote to us: the people behind the senders of many messages, found or made in a handful of statements."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.events import outbox
from carillon.events.catalog.audience import ContactCreated
from carillon.kernel.ids import uuid7s
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .addresses import best_peers, parse_address
from .contracts import Address, AddressKind, Known, Sender
from .details import LONGEST_NAME
from .service import candidate_zones
from .text import clean

# Locked in the order of ids, as whoever sends locks them: two transactions never wait for each other.
_TOUCH = """
WITH n AS (
    SELECT * FROM unnest($2::uuid[], $3::timestamptz[]) AS n (id, at)
), locked AS (
    SELECT c.id FROM audience.contact c JOIN n ON n.id = c.id
    WHERE c.tenant_id = $1 ORDER BY c.id FOR NO KEY UPDATE OF c
)
UPDATE audience.contact c SET last_inbound_at = greatest(c.last_inbound_at, n.at)
FROM n JOIN locked ON locked.id = n.id
WHERE c.tenant_id = $1 AND c.id = n.id
"""

_LANGUAGES = "SELECT id, language FROM audience.contact WHERE tenant_id = $1 AND id = ANY($2::uuid[])"


async def resolve_many(tx: Tx, vault: Vault, senders: Sequence[Sender]) -> list[Known]:
    """Whoever has these addresses, in the same order; made where there is nobody.

    Safe when many transactions ask for the same address at once: all get the same contact. A new contact with a
    suppressed address is opted out from the beginning: it may be somebody who opted out and was erased then.

    Args:
        tx: The transaction.
        vault: For the hashes of suppressed addresses.
        senders: As the networks write them.

    Raises:
        AddressInvalid: One cannot be an address of its kind.
    """
    first: dict[Address, Sender] = {}
    addresses = [parse_address(sender.kind, sender.value) for sender in senders]
    for address, sender in zip(addresses, senders, strict=True):
        first.setdefault(address, sender)
    owners = await repository.owners_of(tx, first)
    missing = {address: sender for address, sender in first.items() if address not in owners}
    if missing:
        owners |= await _make(tx, vault, missing)
    driver = await tx.driver()
    rows = await driver.fetch(_LANGUAGES, tx.tenant, list({*owners.values()}))
    languages = {row["id"]: row["language"] for row in rows}
    return [Known(owners[address], languages.get(owners[address])) for address in addresses]


async def resolve(tx: Tx, vault: Vault, *, platform: str, kind: str, value: str, name: str = "") -> Known:
    """`resolve_many` for one: the sender of a single update.

    Raises:
        AddressInvalid: It cannot be an address of that kind.
    """
    return (await resolve_many(tx, vault, [Sender(platform, kind, value, name)]))[0]


async def touch_inbound(tx: Tx, at: Mapping[UUID, datetime]) -> None:
    """Note when people wrote to us; an older time than the known one changes nothing."""
    driver = await tx.driver()
    await driver.execute(_TOUCH, tx.tenant, list(at), list(at.values()))


async def _make(tx: Tx, vault: Vault, missing: Mapping[Address, Sender]) -> dict[Address, UUID]:
    wanted = dict(zip(missing, uuid7s(len(missing)), strict=True))
    got = await repository.claim_each(tx, wanted)
    made = {address: contact_id for address, contact_id in wanted.items() if contact_id in got}
    if made:
        suppressed = await consents.suppressed_among(tx, vault, [(one.kind.value, one.value) for one in made])
        rows = [
            _row(made[one], one, missing[one], suppressed=(one.kind.value, one.value) in suppressed) for one in made
        ]
        await repository.add_many(tx, rows)
        events = [ContactCreated(contact_id=one, origin=missing[address].platform) for address, one in made.items()]
        await outbox.append(tx, *events)
    # Somebody else was quicker with the others, and has committed.
    lost = [address for address in wanted if address not in made]
    return made | (await repository.owners_of(tx, lost) if lost else {})


def _row(contact_id: UUID, address: Address, sender: Sender, *, suppressed: bool) -> dict[str, object]:
    return {
        "id": contact_id,
        "name": clean(sender.name)[:LONGEST_NAME],
        "peers": best_peers([address]),
        "email": address.value if address.kind is AddressKind.EMAIL else None,
        "time_zones": candidate_zones([address]),
        "opted_out_at": datetime.now(UTC) if suppressed else None,
        "opted_out_source": "suppression" if suppressed else None,
    }
