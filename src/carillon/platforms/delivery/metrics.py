"""What operators see of delivery: counted where it happens; what stands in the database is read by `figures`."""

import re
from datetime import timedelta

from carillon.ops.counting import Counter, Gauge, Histogram
from carillon.platforms.connectors.errors import SendError

_BATCH = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500)
_LATENCY = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
_MOST_CODES = 200

AUTHORISED = Counter("carillon_messages_authorised_total", "Messages that were allowed on the wire")
SETTLED = Counter("carillon_messages_settled_total", "Messages whose attempt was written back")
ERRORS = Counter("carillon_connector_errors_total", "What connectors raised", ["connector", "error", "code"])
AUTHORISE_SECONDS = Histogram("carillon_authorise_seconds", "One authorise transaction")
SETTLE_SECONDS = Histogram("carillon_settle_seconds", "One settle transaction")
AUTHORISE_BATCH = Histogram("carillon_authorise_batch_size", "Messages in one authorise transaction", buckets=_BATCH)
SETTLE_BATCH = Histogram("carillon_settle_batch_size", "Messages in one settle transaction", buckets=_BATCH)
DUE_TO_SENT = Histogram(
    "carillon_due_to_sent_seconds",
    "From when a message was due to when the platform took it, the longest of each settlement",
    buckets=_LATENCY,
)
OWNED = Gauge("carillon_accounts_owned", "Accounts this process holds the lease of", multiprocess_mode="livesum")
INBOUND = Counter("carillon_inbound_accepted_total", "New messages that came in", ["connector"])
WEBHOOKS = Counter("carillon_webhook_calls_total", "Calls of platforms to us", ["outcome"])
FENCED = Counter("carillon_worker_fenced_total", "Delivery processes that lost the right to their accounts")

_codes: set[str] = set()


def count_error(connector: str, error: SendError) -> None:
    """Count what a connector raised, by connector, our error and the class of the platform's own code."""
    ERRORS.labels(connector, error.code, code_class(error.platform_code)).inc()


def code_class(code: str) -> str:
    """A platform's code without what varies (`FLOOD_WAIT_37` and `FLOOD_WAIT_5` are one), of a bounded number.

    Every new value is another series for ever, so after some hundreds the rest is `other`.
    """
    plain = re.sub(r"_?\d+(?=\D|$)", "", code) if re.search(r"[A-Za-z]", code) else code
    plain = re.sub(r"[^A-Za-z0-9_.:-]", "", plain)[:40] or "none"
    if plain not in _codes and len(_codes) >= _MOST_CODES:
        return "other"
    _codes.add(plain)
    return plain


def observe_sent(longest: timedelta | None) -> None:
    """How long messages that were settled together had been due when the platform took them: the longest counts."""
    if longest is not None:
        DUE_TO_SENT.observe(max(0.0, longest.total_seconds()))
