"""The simulated platform beside a measurement."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from carillon.runtime import embedded

from .measuring import Stage
from .processes import end, until

# Quiet hours and caps must not decide over a figure.
NOBODY_SLEEPS = """
INSERT INTO audience.policy (tenant_id, quiet_start, quiet_end, frequency_max, frequency_days, time_zone)
VALUES ($1, '00:00', '00:00', NULL, 7, 'UTC')
"""


PEOPLE = """
INSERT INTO audience.contact (tenant_id, id, name, time_zone, fields, peers, consents, language)
SELECT $1, storage.uuid7(), 'Person ' || i, 'Europe/Berlin', jsonb_build_object('part', i % $3::int),
    jsonb_build_object('telegram', i::text, 'whatsapp', '+49151' || lpad(i::text, 8, '0')),
    '{"marketing": {"*": {"status": "granted", "until": null}}}', 'en'
FROM generate_series(1, $2::int) AS i
"""
"""People whom both platforms reach, in so many parts (`fields.part`): tenant, how many, parts."""


@asynccontextmanager
async def simulator(on: Stage, *arguments: str) -> AsyncIterator[str]:
    """Run it on the stage's folder; yields its address."""
    (on.folder / "logs").mkdir(exist_ok=True)
    process, address = await embedded.start_simulator(on.resources.settings, *arguments)
    try:
        yield address
    finally:
        await end(process)


async def none_left(on: Stage, query: str, what: str) -> None:
    """Wait until a query for the existence of something says no.

    Raises:
        SetupError: It took too long.
    """

    async def none() -> bool:
        return not await on.owner.fetchval(query)

    await until(none, what)
