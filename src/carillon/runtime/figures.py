"""Reads what stands in the database for `/metrics`, in the one process that has the `jobs` role.

The API's role sees one tenant at a time, so the API cannot read these; it shows what the worker published.
"""

import time

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from carillon.events import backlog
from carillon.events.backlog import Standing
from carillon.kernel.errors import CarillonError
from carillon.ops import metrics
from carillon.platforms.delivery import api as delivery
from carillon.storage.resources import Resources

log = structlog.get_logger(__name__)

EVERY = 10.0
"""Seconds between two readings, or twenty times what the last one took: at most a twentieth of one core."""
_SHARE = 20


async def keep_publishing(resources: Resources) -> None:
    """Publish until cancelled; while the database is away the last figures stay, and their age tells."""
    while True:
        began = time.monotonic()
        try:
            metrics.publish(await read(resources))
        except CarillonError as error:
            log.warning("figures.waiting", error=error.code)
        except Exception:  # whatever it is, the work beside it goes on
            log.exception("figures.failed")
        await resources.clock.sleep(max(EVERY, _SHARE * (time.monotonic() - began)))


async def read(resources: Resources) -> list[Metric]:
    """Everything there is to publish."""
    began = time.monotonic()
    async with resources.database.across_tenants() as tx:
        families = delivery.families(await delivery.read_figures(tx))
        families += _consumers(await backlog.standings(tx))
    return [*families, *_about(resources, time.monotonic() - began)]


def _consumers(standings: list[Standing]) -> list[Metric]:
    behind = GaugeMetricFamily(
        "carillon_consumer_behind_seconds", "Age of the oldest event a consumer has not passed", labels=["consumer"]
    )
    dead = GaugeMetricFamily("carillon_dead_letters", "Events given up and not replayed", labels=["consumer"])
    for standing in standings:
        behind.add_metric([standing.consumer], standing.seconds)
        dead.add_metric([standing.consumer], standing.dead)
    return [behind, dead]


def _about(resources: Resources, seconds: float) -> list[Metric]:
    at = GaugeMetricFamily("carillon_figures_read_timestamp_seconds", "When the database was read for these figures")
    at.add_metric([], resources.clock.now().timestamp())
    took = GaugeMetricFamily("carillon_figures_read_seconds", "How long that took")
    took.add_metric([], seconds)
    return [at, took]
