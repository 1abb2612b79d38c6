"""The proof: the simulated platform's ledger against ours, message by message."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from carillon.platforms.connectors.simulator.ledger import LedgerSummary
from carillon.storage.database import Tx

_TAKEN = {"sent", "delivered", "read"}
"""States in which we say that the platform has the message."""
_OPEN = {"queued", "sending"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the two ledgers say of each other.

    Attributes:
        lost: Messages we say were taken and the platform does not know, messages the platform took and we say were
            not, and messages that are still on their way although all is quiet.
        duplicated: Copies beyond the first.
        to_opted_out: Accepted after we had confirmed the person's opt-out, the one confirmation left out.
    """

    lost: int
    duplicated: int
    to_opted_out: int


def compare(ours: Mapping[str, Mapping[str, Any]], theirs: LedgerSummary) -> Comparison:
    """Compare by message id.

    Args:
        ours: Every message of our ledger that could have left: id → state, kind and contact.
        theirs: The platform's ledger.
    """
    lost = 0
    for message_id, message in ours.items():
        taken = message_id in theirs.accepted
        if message["state"] in _OPEN or (message["state"] in _TAKEN) != taken:
            # Unknown may be either, and a failure may be reported after acceptance: neither is lost.
            lost += message["state"] != "unknown" and not (message["state"] == "failed" and taken)
    lost += sum(1 for message_id in theirs.accepted if message_id not in ours)
    duplicated = sum(len(copies) - 1 for copies in theirs.accepted.values())
    confirmed: Counter[UUID] = Counter()
    late = 0
    for send in theirs.to_opted_out:
        known = ours.get(send.message_id)
        if known is not None and known["kind"] == "confirmation" and not confirmed[known["contact_id"]]:
            confirmed[known["contact_id"]] += 1
        else:
            late += 1
    return Comparison(lost, duplicated, late)


async def ledger(tx: Tx) -> dict[str, dict[str, Any]]:
    """Our side: every message that was meant for the wire."""
    rows = await tx.all(
        "SELECT id, state, kind, contact_id FROM platforms.message "
        "WHERE tenant_id = :tenant AND state NOT IN ('suppressed', 'cancelled')",
        {"tenant": tx.tenant},
    )
    return {str(row["id"]): dict(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo did; every figure is counted afterwards, from the ledgers."""

    imported: int
    rejected_rows: int
    audience: int
    excluded: Mapping[str, int]
    planned: int
    sent: int
    delivered: int
    read: int
    failed: Mapping[str, int]
    unknown: int
    held: int
    suppressed_midway: int
    replies: int
    opt_outs: int
    kills: int
    lost: int
    duplicated: int
    to_opted_out: int
    seconds: float
    peak_rss_mb: float

    @property
    def proven(self) -> bool:
        """Whether nothing was lost, sent twice or sent to someone who opted out."""
        return not (self.lost or self.duplicated or self.to_opted_out)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def as_text(self) -> str:
        """For people."""
        pairs = [
            ("imported", f"{self.imported:,} people ({self.rejected_rows:,} rows refused, each with its reason)"),
            ("audience", f"{self.audience:,}"),
            ("excluded", _listed(self.excluded)),
            ("planned", f"{self.planned:,}"),
            ("sent", f"{self.sent:,} (delivered {self.delivered:,}, read {self.read:,})"),
            ("failed", _listed(self.failed)),
            ("unknown", f"{self.unknown:,} (shown as unconfirmed, never resent blindly)"),
            ("held", f"{self.held:,} (their accounts were banned or restricted on the way)"),
            ("opted out midway", f"{self.opt_outs:,} people; {self.suppressed_midway:,} messages suppressed"),
            ("replies", f"{self.replies:,} held as conversations"),
            ("workers killed", f"{self.kills} with SIGKILL"),
            ("took", f"{self.seconds:.1f} s, at most {self.peak_rss_mb:.0f} MB outside PostgreSQL"),
        ]
        lines = [f"{name:>17}  {value}" for name, value in pairs]
        verdict = [
            f"{'lost':>17}  {self.lost}",
            f"{'sent twice':>17}  {self.duplicated}",
            f"{'to opted-out':>17}  {self.to_opted_out}",
        ]
        end = "Proven: the platform's ledger equals ours." if self.proven else "NOT proven: the ledgers differ."
        return "\n".join([*lines, "", *verdict, "", end])


def _listed(counts: Mapping[str, int]) -> str:
    if not counts:
        return "0"
    details = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))
    return f"{sum(counts.values()):,} ({details})"
