"""May this person be written to? The Python twin of the SQL function `audience.verdict`.

Default deny. An opt-out blocks everything. Marketing needs a granted, unexpired consent for the platform or for `*`,
and no withdrawal for the platform. Service messages may go to whoever wrote first, or has such a consent for
service or for marketing. The two are kept equal by a test over random people.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .contracts import EVERYWHERE, Projection, Purpose, Refusal


def verdict(
    consents: Projection,
    *,
    opted_out_at: datetime | None,
    last_inbound_at: datetime | None,
    peer: str | None,
    platform: str,
    purpose: str,
    at: datetime,
) -> Refusal | None:
    """None when sendable at `at` (UTC-aware), else the reason."""
    if opted_out_at is not None:
        return Refusal.OPTED_OUT
    if not peer:
        return Refusal.NO_ADDRESS
    if purpose == Purpose.MARKETING:
        return _consent(consents, platform, Purpose.MARKETING, at)
    if purpose != Purpose.SERVICE:
        return Refusal.NO_CONSENT
    return None if last_inbound_at else _service(consents, platform, at)


def _service(consents: Projection, platform: str, at: datetime) -> Refusal | None:
    service = _consent(consents, platform, Purpose.SERVICE, at)
    if service is None or service == Refusal.CONSENT_WITHDRAWN:
        return service
    marketing = _consent(consents, platform, Purpose.MARKETING, at)
    return service if marketing and service == Refusal.CONSENT_EXPIRED else marketing


def _consent(consents: Projection, platform: str, purpose: str, at: datetime) -> Refusal | None:
    entries = consents.get(purpose, {})
    here, everywhere = status(entries.get(platform), at), status(entries.get(EVERYWHERE), at)
    if here == "withdrawn":
        return Refusal.CONSENT_WITHDRAWN
    if "granted" in (here, everywhere):
        return None
    if here == "expired" or everywhere == "expired":
        return Refusal.CONSENT_EXPIRED
    return Refusal.CONSENT_WITHDRAWN if everywhere == "withdrawn" else Refusal.NO_CONSENT


def status(entry: Mapping[str, Any] | None, at: datetime) -> str:
    """`granted`, `expired`, `withdrawn` or `none`: one entry of a projection at a time."""
    if entry is None or entry["status"] not in ("granted", "withdrawn"):
        return "none"
    if entry["status"] == "withdrawn":
        return "withdrawn"
    until = entry.get("until")
    return "granted" if until is None or datetime.fromisoformat(until) > at else "expired"
