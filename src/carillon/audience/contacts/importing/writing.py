"""SQL of one batch: a fixed number of statements over arrays, however many rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson

from carillon.audience.contacts.addresses import PLATFORM_OF, best_peers
from carillon.audience.contacts.contracts import Address, AddressKind
from carillon.kernel.errors import CarillonError
from carillon.storage.database import Tx

from .arrays import ids, instants, numbers, texts
from .matching import Key, Known
from .person import Fault, Person


class Raced(CarillonError):
    """Somebody else wrote one of the addresses meanwhile; the batch is to be tried again."""

    code = "import_raced"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A contact to insert, with what consents say about it."""

    id: UUID
    person: Person
    consents: str
    opted_out_at: datetime | None
    opted_out_source: str | None


_LOOK_UP = """
SELECT a.kind, a.value, i.contact_id, CASE WHEN i.import_id = $4 THEN i.import_row END AS row
FROM unnest($2::text::text[], $3::text::text[]) AS a (kind, value)
JOIN audience.identity i ON i.tenant_id = $1 AND i.kind = a.kind AND i.value = a.value
"""

# Locked in the order of ids, like everywhere, so that two imports never wait for each other in a circle.
_LOCK = """
SELECT id, opted_out_at, consents::text AS consents FROM audience.contact
WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""

_INSERT = """
INSERT INTO audience.contact (tenant_id, id, name, first_name, last_name, email, language, time_zone, time_zones,
    country, tags, fields, peers, consents, opted_out_at, opted_out_source)
SELECT $1, p.id, p.name, nullif(p.first_name, ''), nullif(p.last_name, ''), nullif(p.email, ''),
    nullif(p.language, ''), nullif(p.time_zone, ''), p.time_zones::text[], nullif(p.country, ''), p.tags::text[],
    p.fields::jsonb, p.peers::jsonb, p.consents::jsonb, p.opted_out_at, nullif(p.opted_out_source, '')
FROM unnest($2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
    $7::text::text[], $8::text::text[], $9::text::text[], $10::text::text[], $11::text::text[], $12::text::text[],
    $13::text::text[], $14::text::text[], $15::text::timestamptz[], $16::text::text[])
    AS p (id, name, first_name, last_name, email, language, time_zone, time_zones, country, tags, fields, peers,
    consents, opted_out_at, opted_out_source)
"""

# In the order of the index: kinder to it, and two imports cannot wait for each other in a circle.
_CLAIM = """
INSERT INTO audience.identity (tenant_id, id, contact_id, platform, kind, value, import_id, import_row)
SELECT $1, storage.uuid7(), a.contact_id, a.platform, a.kind, a.value, $2, a.row
FROM unnest($3::text::uuid[], $4::text::text[], $5::text::text[], $6::text::text[], $7::text::bigint[])
    AS a (contact_id, platform, kind, value, row)
ORDER BY a.kind, a.value COLLATE "C"
"""

_MARK = """
UPDATE audience.identity i SET import_id = $2, import_row = a.row
FROM unnest($3::text::text[], $4::text::text[], $5::text::bigint[]) AS a (kind, value, row)
WHERE i.tenant_id = $1 AND i.kind = a.kind AND i.value = a.value
"""

_CHANGE = """
UPDATE audience.contact c SET
    name = coalesce(nullif({name[0]}, ''), {name[1]}),
    first_name = coalesce(nullif({first_name[0]}, ''), nullif({first_name[1]}, '')),
    last_name = coalesce(nullif({last_name[0]}, ''), nullif({last_name[1]}, '')),
    language = coalesce(nullif({language[0]}, ''), nullif({language[1]}, '')),
    time_zone = coalesce(nullif({time_zone[0]}, ''), nullif({time_zone[1]}, '')),
    time_zones = CASE
        WHEN c.time_zone IS NOT NULL OR p.time_zone <> '' THEN '{{}}'
        WHEN c.time_zones = '{{}}' THEN p.time_zones::text[] ELSE c.time_zones END,
    country = coalesce(nullif({country[0]}, ''), nullif({country[1]}, '')),
    tags = (SELECT coalesce(array_agg(DISTINCT t ORDER BY t), '{{}}') FROM unnest(c.tags || p.tags::text[]) t),
    fields = {fields[1]} || {fields[0]},
    updated_at = now()
FROM unnest($2::text::uuid[], $3::text::text[], $4::text::text[], $5::text::text[], $6::text::text[],
    $7::text::text[], $8::text::text[], $9::text::text[], $10::text::text[], $11::text::text[])
    AS p (id, name, first_name, last_name, language, time_zone, time_zones, country, tags, fields)
WHERE c.tenant_id = $1 AND c.id = p.id
"""

_COLUMNS = ("name", "first_name", "last_name", "language", "time_zone", "country")


def _change_sql(*, file_wins: bool) -> str:
    sides = ("p", "c") if file_wins else ("c", "p")
    pairs = {name: [f"{side}.{name}" for side in sides] for name in _COLUMNS}
    pairs["fields"] = [f"{side}.fields{'::jsonb' if side == 'p' else ''}" for side in sides]
    return _CHANGE.format(**pairs)


# `update` takes the file's values where it has any, `merge` those that were there.
_CHANGES = {"update": _change_sql(file_wins=True), "merge": _change_sql(file_wins=False)}


async def look_up(tx: Tx, import_id: UUID, keys: Sequence[Key]) -> dict[Key, Known]:
    """Who has these addresses; their contacts are locked."""
    driver = await tx.driver()
    found = await driver.fetch(
        _LOOK_UP, tx.tenant, texts(kind for kind, _ in keys), texts(value for _, value in keys), import_id
    )
    if not found:
        return {}
    owners = list({row["contact_id"] for row in found})
    contacts = {row["id"]: row for row in await driver.fetch(_LOCK, tx.tenant, owners)}
    result = {}
    for row in found:
        owner = contacts.get(row["contact_id"])
        if owner is None:
            raise Raced
        said = orjson.loads(owner["consents"])
        result[row["kind"], row["value"]] = Known(owner["id"], row["row"], owner["opted_out_at"], said)
    return result


def contact_columns(newcomers: Sequence[Newcomer]) -> list[str]:
    """New contacts as the parameters of their statement."""
    persons = [one.person for one in newcomers]
    return [
        ids(one.id for one in newcomers),
        texts(person.name for person in persons),
        texts(person.first_name for person in persons),
        texts(person.last_name for person in persons),
        texts(_email(person) for person in persons),
        texts(person.language for person in persons),
        texts(person.time_zone for person in persons),
        texts(array_literal(person.time_zones) for person in persons),
        texts(person.country for person in persons),
        texts(array_literal(person.tags) for person in persons),
        texts(_json(person.fields) for person in persons),
        texts(_peers(person) for person in persons),
        texts(one.consents for one in newcomers),
        instants(one.opted_out_at for one in newcomers),
        texts(one.opted_out_source for one in newcomers),
    ]


async def insert_contacts(tx: Tx, columns: Sequence[str]) -> None:
    """Add contacts, as `contact_columns` made them."""
    driver = await tx.driver()
    await driver.execute(_INSERT, tx.tenant, *columns)


async def claim(tx: Tx, import_id: UUID, claims: Sequence[tuple[UUID, Key, int]]) -> None:
    """Give addresses to contacts, each with the row that brought it.

    Raises:
        UniqueViolationError: One of them has become somebody's meanwhile. (ON CONFLICT would be slower by a third.)
    """
    if not claims:
        return
    driver = await tx.driver()
    await driver.execute(
        _CLAIM,
        tx.tenant,
        import_id,
        ids(contact_id for contact_id, _, _ in claims),
        texts(PLATFORM_OF[key[0]] for _, key, _ in claims),
        texts(key[0] for _, key, _ in claims),
        texts(key[1] for _, key, _ in claims),
        numbers(row for _, _, row in claims),
    )


async def mark(tx: Tx, import_id: UUID, marks: Sequence[tuple[Key, int]]) -> None:
    """Note at known addresses which row of this import mentioned them."""
    if marks:
        driver = await tx.driver()
        kinds, values = texts(key[0] for key, _ in marks), texts(key[1] for key, _ in marks)
        await driver.execute(_MARK, tx.tenant, import_id, kinds, values, numbers(row for _, row in marks))


async def change_contacts(tx: Tx, policy: str, people: Sequence[tuple[UUID, Person]]) -> None:
    """Bring known contacts up to date by the policy `update` or `merge`."""
    if not people:
        return
    driver = await tx.driver()
    persons = [person for _, person in people]
    await driver.execute(
        _CHANGES[policy],
        tx.tenant,
        ids(contact_id for contact_id, _ in people),
        texts(person.name for person in persons),
        texts(person.first_name for person in persons),
        texts(person.last_name for person in persons),
        texts(person.language for person in persons),
        texts(person.time_zone for person in persons),
        texts(array_literal(person.time_zones) for person in persons),
        texts(person.country for person in persons),
        texts(array_literal(person.tags) for person in persons),
        texts(_json(person.fields) for person in persons),
    )


_FAULTS = """
INSERT INTO audience.import_fault (tenant_id, id, import_id, kind, row, byte, code, field, text, raw)
SELECT $1, storage.uuid7(), $2, f.kind, f.row, f.byte, f.code, f.field, f.text, f.raw::jsonb
FROM unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[])
    AS f (kind, row, byte, code, field, text, raw)
"""


async def store_faults(tx: Tx, import_id: UUID, faults: Iterable[Fault]) -> None:
    """Keep faults for the list of error rows."""
    kept = list(faults)
    if kept:
        driver = await tx.driver()
        await driver.execute(
            _FAULTS,
            tx.tenant,
            import_id,
            [fault.kind for fault in kept],
            [fault.row for fault in kept],
            [fault.byte for fault in kept],
            [fault.code for fault in kept],
            [fault.field for fault in kept],
            [fault.text for fault in kept],
            [_storable(fault.raw) for fault in kept],
        )


@lru_cache(maxsize=4096)
def array_literal(values: tuple[str, ...]) -> str:
    """A PostgreSQL array of texts: arrays of arrays cannot be sent, and most rows share a few."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _email(person: Person) -> str | None:
    for kind, value in person.addresses:
        if kind == "email":
            return value
    return None


def _json(values: Mapping[str, Any] | None) -> str:
    return orjson.dumps(values).decode() if values else "{}"


def _storable(values: Mapping[str, str]) -> str:
    # PostgreSQL's jsonb has no NUL, and half a surrogate pair (a JSON file can escape one) is no text.
    plain = {key: value.replace("\0", "\ufffd").encode("utf-8", "replace").decode() for key, value in values.items()}
    return orjson.dumps(plain).decode()


def _peers(person: Person) -> str:
    if len(person.addresses) == 1 and person.addresses[0][0] == "phone":
        phone = person.addresses[0][1]
        return f'{{"telegram":"{phone}","whatsapp":"{phone}","custom":"{phone}"}}'
    addresses = (Address(AddressKind(kind), value) for kind, value in person.addresses)
    return orjson.dumps(best_peers(addresses)).decode()


async def opt_out_suppressed(tx: Tx, contact_ids: Sequence[UUID]) -> None:
    """Opt known contacts out because they turned out to have a suppressed address."""
    if contact_ids:
        driver = await tx.driver()
        await driver.execute(
            "UPDATE audience.contact SET opted_out_at = now(), opted_out_source = 'suppression' "
            "WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND opted_out_at IS NULL",
            tx.tenant,
            list(contact_ids),
        )
