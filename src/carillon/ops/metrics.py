"""What this process counts, for Prometheus; other packages declare theirs beside the code that counts."""

import asyncio
import time
from collections.abc import Callable

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics

TEXT = "text/plain; version=0.0.4; charset=utf-8"

HTTP_SECONDS = Histogram(
    "carillon_http_request_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LIVE_SOCKETS = Gauge("carillon_live_sockets", "Open WebSockets of the live feed")
LIVE_DROPPED = Counter("carillon_live_sockets_dropped", "WebSockets closed by us", ["why"])
LOOP_LAG = Gauge("carillon_event_loop_lag_seconds", "How late the event loop ran a timer, worst of the last second")
NOTICES = Counter("carillon_notices", "Notices to operators", ["outcome"])


def render(accept: str) -> tuple[bytes, str]:
    """All metrics of this process, and their content type, in the form the reader asks for."""
    if "application/openmetrics-text" in accept:
        return generate_open_metrics(REGISTRY), OPEN_METRICS  # type: ignore[no-untyped-call] # untyped there
    return generate_latest(REGISTRY), TEXT


async def watch_loop(now: Callable[[], float] = time.monotonic, every: float = 0.25) -> None:
    """Measure how late the event loop is, until cancelled."""
    worst, since = 0.0, now()
    while True:
        before = now()
        await asyncio.sleep(every)
        worst = max(worst, now() - before - every)
        if now() - since >= 1.0:
            LOOP_LAG.set(worst)
            worst, since = 0.0, now()
