"""What the processes count, for Prometheus; other packages declare theirs beside the code that counts."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPEN_METRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_open_metrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from .counting import Counter, Gauge, Histogram, figures_file, program, shared

TEXT = "text/plain; version=0.0.4; charset=utf-8"

HTTP_SECONDS = Histogram(
    "carillon_http_request_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LIVE_SOCKETS = Gauge("carillon_live_sockets", "Open WebSockets of the live feed", multiprocess_mode="livesum")
LIVE_DROPPED = Counter("carillon_live_sockets_dropped", "WebSockets closed by us", ["why"])
LOOP_LAG = Gauge(
    "carillon_event_loop_lag_seconds",
    "How late the event loop ran a timer, worst of the last second",
    ["program"],
    multiprocess_mode="livemostrecent",
)
RESIDENT = Gauge(
    "carillon_resident_memory_bytes", "Memory of a process", ["program"], multiprocess_mode="livemostrecent"
)
CPU_SECONDS = Counter("carillon_cpu_seconds", "CPU time of a program's processes", ["program"])
STARTS = Counter("carillon_process_starts", "How often a program was started", ["program"])
NOTICES = Counter("carillon_notices", "Notices to operators", ["outcome"])


class _Published(Collector):
    """What was read elsewhere, the database above all, and is passed on as it is."""

    def __init__(self) -> None:
        self.families: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`."""
        return self.families


class _PublishedFiles(Collector):
    """The same of all processes of this tree, from their files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        """See `Collector.collect`; a file that goes away meanwhile is passed over."""
        for file in self._directory.glob("figures_*.prom"):
            try:
                text = file.read_text("utf-8")
            except FileNotFoundError:
                continue
            yield from text_string_to_metric_families(text)


_published = _Published()
REGISTRY.register(_published)


def publish(families: Sequence[Metric]) -> None:
    """Show these from now on in place of what this process published before."""
    directory = shared()
    if directory is None:
        _published.families = tuple(families)
        return
    registry = CollectorRegistry()
    held = _Published()
    held.families = tuple(families)
    registry.register(held)
    target = figures_file(directory, program())
    written = target.with_suffix(".new")
    written.write_bytes(generate_latest(registry))
    written.replace(target)


def render(accept: str) -> tuple[bytes, str]:
    """All metrics of this process tree, and their content type, in the form the reader asks for."""
    registry = _registry()
    if "application/openmetrics-text" in accept:
        return generate_open_metrics(registry), OPEN_METRICS  # type: ignore[no-untyped-call] # untyped there
    return generate_latest(registry), TEXT


def _registry() -> CollectorRegistry:
    directory = shared()
    if directory is None or not directory.is_dir():
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call] # untyped there
    registry.register(_PublishedFiles(directory))
    return registry


async def watch_process(now: Callable[[], float] = time.monotonic, every: float = 0.25) -> None:
    """Measure this process until cancelled: how late its event loop is, its memory and CPU."""
    name, process = program(), psutil.Process()
    worst, since, cpu = 0.0, now(), 0.0
    while True:
        before = now()
        await asyncio.sleep(every)
        worst = max(worst, now() - before - every)
        if now() - since >= 1.0:
            LOOP_LAG.labels(name).set(worst)
            RESIDENT.labels(name).set(process.memory_info().rss)
            times = process.cpu_times()
            CPU_SECONDS.labels(name).inc(max(0.0, times.user + times.system - cpu))
            cpu = times.user + times.system
            worst, since = 0.0, now()
