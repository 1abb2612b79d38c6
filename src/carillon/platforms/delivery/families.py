"""The ledger's figures as Prometheus metrics: every state is there even when it counts nothing, so alerts can tell."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from carillon.platforms.connectors.port import AccountState

from .figures import TOP, Figures

_LEASES = ("owned", "free", "dead")
_LANES = ("running", "paused", "closed")
_REST = "other"


def families(figures: Figures) -> list[Metric]:
    """All of them."""
    return [*_queues(figures), *_ages(figures), *_waiting(figures), *_leases(figures), *_counts(figures)]


def _gauge(name: str, meaning: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _top(counts: Mapping[tuple[str, ...], int], width: int) -> dict[tuple[str, ...], float]:
    """The largest, and the sum of the rest under `other`: series cost memory in Prometheus for ever."""
    ranked = sorted(((count, key) for key, count in counts.items() if count), reverse=True)
    shown: dict[tuple[str, ...], float] = {key: count for count, key in ranked[:TOP]}
    shown[(_REST,) * width] = sum(count for count, _ in ranked[TOP:])
    return shown


def _queues(figures: Figures) -> Iterable[Metric]:
    accounts: Counter[tuple[str, ...]] = Counter()
    tenants: Counter[tuple[str, ...]] = Counter()
    for row in figures.open:
        accounts[str(row.tenant_id), str(row.account_id)] += row.queued
        tenants[(str(row.tenant_id),)] += row.queued
    yield _gauge(
        "carillon_account_queue_messages", "Queued messages per account", ("tenant", "account"), _top(accounts, 2)
    )
    yield _gauge("carillon_tenant_queue_messages", "Queued messages per tenant", ("tenant",), _top(tenants, 1))
    totals: dict[tuple[str, ...], float] = {
        ("queued",): sum(row.queued for row in figures.open),
        ("due",): sum(row.due for row in figures.open if row.may_go),
        ("sending",): sum(row.sending for row in figures.open),
    }
    yield _gauge("carillon_queue_messages", "Open messages; due ones of open gates only", ("state",), totals)


def _ages(figures: Figures) -> Iterable[Metric]:
    oldest: dict[tuple[str, ...], float] = {(state.value,): 0.0 for state in AccountState}
    for row in figures.open:
        if row.may_go:
            key = (row.account_state,)
            oldest[key] = max(oldest.get(key, 0.0), _age(figures.at, row.oldest_due))
    yield _gauge(
        "carillon_queue_oldest_due_seconds",
        "How long the message that is due longest has been due, of open gates, by the state of its account",
        ("account_state",),
        oldest,
    )
    sending = max((_age(figures.at, row.oldest_sending) for row in figures.open), default=0.0)
    yield _gauge("carillon_sending_oldest_seconds", "How long the oldest message in flight has been", (), {(): sending})


def _age(now: datetime, then: datetime | None) -> float:
    return max(0.0, (now - then).total_seconds()) if then else 0.0


def _waiting(figures: Figures) -> Iterable[Metric]:
    held: Counter[tuple[str, ...]] = Counter({("restored",): 0})
    for row in figures.waiting:
        if row.state == "held":
            held[(row.reason or "none",)] += row.messages
    yield _gauge("carillon_messages_held", "Messages held, by why", ("reason",), dict(held))
    unknown = sum(row.messages for row in figures.waiting if row.state == "unknown")
    yield _gauge("carillon_messages_unknown", "Messages whose outcome nobody knows", (), {(): unknown})
    yield _gauge(
        "carillon_messages_unconfirmed",
        "Of these, what no status explained in 15 minutes and nobody sent again, of the last 7 days",
        (),
        {(): sum(row.unconfirmed for row in figures.waiting)},
    )


def _leases(figures: Figures) -> Iterable[Metric]:
    states = Counter(row.state for row in figures.leases)
    yield _gauge("carillon_leases", "Leases by owner", ("state",), {(state,): states[state] for state in _LEASES})
    epochs: dict[tuple[str, ...], int] = {(str(x.tenant_id), str(x.account_id)): x.epoch for x in figures.leases}
    largest = {key: value for key, value in _top(epochs, 2).items() if _REST not in key}
    yield _gauge(
        "carillon_lease_epoch", "Owners an account has had; the most troubled accounts", ("tenant", "account"), largest
    )
    claims = CounterMetricFamily("carillon_lease_claims", "Accounts taken by a worker, at starts and take-overs")
    claims.add_metric((), sum(epochs.values()))
    yield claims


def _counts(figures: Figures) -> Iterable[Metric]:
    def of(what: str, states: Iterable[Any]) -> dict[tuple[str, ...], float]:
        return {(str(state),): figures.counts.get((what, str(state)), 0) for state in states}

    yield _gauge("carillon_accounts", "Accounts by state", ("state",), of("account", [s.value for s in AccountState]))
    yield _gauge("carillon_lanes", "Campaigns' gates by state", ("state",), of("lane", _LANES))
    yield _gauge("carillon_workers", "Delivery processes", ("state",), of("worker", ("alive", "expired")))
    yield _gauge(
        "carillon_webhooks_failed",
        "Calls of platforms that could not be understood, of the last 7 days",
        (),
        {(): figures.counts.get(("webhook", "failed"), 0)},
    )
