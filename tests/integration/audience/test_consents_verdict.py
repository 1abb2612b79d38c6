"""`audience.verdict` and its Python twin say the same, and PostgreSQL inlines it."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from carillon.audience.consents.contracts import Refusal
from carillon.audience.consents.verdict import verdict

NOW = datetime(2026, 11, 23, 12, 0, 0, 500_000, tzinfo=UTC)

_BOTH = """
SELECT audience.verdict(c.consents::jsonb, c.opted_out_at, c.last_inbound_at, c.peer, c.platform, c.purpose, $7)
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
    WITH ORDINALITY AS c (consents, opted_out_at, last_inbound_at, peer, platform, purpose, n)
ORDER BY n
"""


def said(dice: random.Random) -> dict[str, Any]:
    until = dice.choice([None, -1, 0, 1, 400])
    moment = None if until is None else (NOW + timedelta(seconds=until)).isoformat(timespec="seconds")
    return {"status": dice.choice(["granted", "granted", "withdrawn", "strange"]), "until": moment, "at": "x"}


def person(dice: random.Random) -> tuple[Any, ...]:
    consents = {
        purpose: {place: said(dice) for place in ("telegram", "whatsapp", "*") if dice.random() < 0.5}
        for purpose in ("marketing", "service")
        if dice.random() < 0.7
    }
    return (
        consents,
        NOW if dice.random() < 0.1 else None,
        NOW if dice.random() < 0.3 else None,
        dice.choice(["peer", "peer", "peer", "", None]),
        dice.choice(["telegram", "whatsapp", "custom"]),
        dice.choice(["marketing", "marketing", "service", "fun"]),
    )


def in_python(*person: Any) -> Refusal | None:
    consents, opted_out_at, last_inbound_at, peer, platform, purpose = person
    return verdict(
        consents,
        opted_out_at=opted_out_at,
        last_inbound_at=last_inbound_at,
        peer=peer,
        platform=platform,
        purpose=purpose,
        at=NOW,
    )


async def test_the_twins_agree_on_twenty_thousand_random_people(owner: asyncpg.Connection):
    people = [person(random.Random(seed)) for seed in range(20_000)]
    columns = [list(column) for column in zip(*people, strict=True)]
    columns[0] = [orjson.dumps(consents).decode() for consents in columns[0]]
    in_sql = [row[0] for row in await owner.fetch(_BOTH, *columns, NOW)]
    expected = [in_python(*someone) for someone in people]
    assert in_sql == expected
    assert set(expected) == {None, *Refusal} - {Refusal.GONE}


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        ({}, "no_consent"),
        ({"marketing": {"telegram": {"status": "granted", "until": None}}}, None),
        ({"marketing": {"*": {"status": "granted", "until": "2026-11-23T12:00:01Z"}}}, None),
        ({"marketing": {"*": {"status": "granted", "until": "2026-11-23T12:00:00Z"}}}, "consent_expired"),
        ({"marketing": {"whatsapp": {"status": "granted"}}}, "no_consent"),
        ({"service": {"telegram": {"status": "granted"}}}, "no_consent"),
        ({"marketing": {"*": {"status": "withdrawn"}}}, "consent_withdrawn"),
        ({"marketing": {"*": {"status": "granted"}, "telegram": {"status": "withdrawn"}}}, "consent_withdrawn"),
    ],
)
async def test_marketing_is_denied_by_default(owner: asyncpg.Connection, consents, expected):
    columns = [[orjson.dumps(consents).decode()], [None], [None], ["peer"], ["telegram"], ["marketing"]]
    assert await owner.fetchval(_BOTH, *columns, NOW) == expected
    assert in_python(consents, None, None, "peer", "telegram", "marketing") == expected


async def test_postgresql_inlines_the_function(owner: asyncpg.Connection):
    plan = await owner.fetch(
        "EXPLAIN (VERBOSE) SELECT audience.verdict(consents, opted_out_at, last_inbound_at, peers ->> 'telegram', "
        "'telegram', 'marketing', now()) FROM audience.contact"
    )
    text = "\n".join(row[0] for row in plan)
    assert "audience.verdict" not in text
    assert "consent_outcome" not in text
    assert "translate" in text
