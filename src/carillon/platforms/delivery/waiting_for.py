"""How a message stands, what will happen by itself, and what a person can do. Pure: a table over its circumstances."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .contracts import RESENT, Message, MessageState

Told = tuple[str, Mapping[str, Any]]
"""A sentence's code and what it names."""

_NOTHING: Told = ("nothing", {})
_STOPPED = ("banned", "signed_out", "parked")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides.

    Attributes:
        lane: State of its campaign's gate; None for direct messages, or when it was never opened.
        account: `state`, `reason`, `reason_code`, `wait_until`; None when the account is gone.
        owner: Who has the lease: `epoch`, `name`, `alive`.
        refusal: Why the person may not be written to now; None when they may.
        quiet_at_due: Quiet hours end at its due time.
        ahead: Due messages of the account that go first, at most 1,000.
    """

    message: Message
    now: datetime
    lane: str | None
    account: Mapping[str, Any] | None
    owner: Mapping[str, Any] | None
    refusal: str | None
    quiet_at_due: bool
    ahead: int


def outlook(at: Circumstances) -> tuple[Told, Told, list[Told]]:  # noqa: PLR0911 - one for each state
    """How it stands, what comes next, and what a person can do."""
    match at.message.state:
        case MessageState.QUEUED:
            return _queued(at)
        case MessageState.SENDING:
            return _sending(at)
        case MessageState.HELD:
            return _held(at)
        case MessageState.UNKNOWN:
            return _unknown(at)
        case MessageState.FAILED:
            resend = [("resend", {"id": at.message.id})] if at.message.body is not None else []
            return ("is_failed", {"reason": at.message.reason}), _NOTHING, [("mend_cause", {}), *resend]
        case MessageState.SUPPRESSED:
            return ("is_suppressed", {"reason": at.message.reason}), _NOTHING, [("look_at_consents", _contact(at))]
        case MessageState.CANCELLED:
            return ("is_cancelled", {}), _NOTHING, []
        case _:
            later = _NOTHING if at.message.state is MessageState.READ else ("statuses_may_come", {})
            return ("is_done", {"state": at.message.state.value}), later, []


def _contact(at: Circumstances) -> dict[str, Any]:
    return {"contact": at.message.contact_id}


def _queued(at: Circumstances) -> tuple[Told, Told, list[Told]]:  # noqa: PLR0911 - in the order in which it would be stopped
    message, account = at.message, at.account
    cancel: Told = ("cancel", {"id": message.id})
    if account is None:
        return ("account_gone", {}), _NOTHING, [cancel]
    if message.campaign_id is not None and at.lane != "running":
        gate: Told = ("gate_shut", {"lane": at.lane or "closed", "campaign": message.campaign_id})
        return gate, ("goes_when_gate_opens", {}), [("resume_campaign", {"campaign": message.campaign_id}), cancel]
    if account["state"] in _STOPPED:
        return _by_account(at), ("will_be_held", {}), [_mend_account(at), cancel]
    if account["state"] == "flooded" and account["wait_until"] is not None and account["wait_until"] > at.now:
        return ("flooded", {"until": account["wait_until"]}), ("goes_after", {"at": account["wait_until"]}), []
    if at.refusal is not None:
        return (
            ("would_be_refused", {"reason": at.refusal}),
            ("will_be_suppressed", {}),
            [("look_at_consents", _contact(at))],
        )
    if message.due_at > at.now:
        return _put_off(at), ("goes_after", {"at": message.due_at}), [cancel]
    if at.owner is None or not at.owner["alive"]:
        return (
            ("no_owner", {"state": account["state"]}),
            ("goes_when_owned", {}),
            [("run_delivery", {}), ("see_stuck", {})],
        )
    if account["state"] not in ("online", "flooded", "restricted"):
        return _by_account(at), ("goes_when_online", {}), [_mend_account(at)]
    return ("its_turn", {"ahead": at.ahead}), ("goes_next", {}), [("see_stuck", {})]


def _put_off(at: Circumstances) -> Told:
    until = {"until": at.message.due_at}
    if at.message.attempts:
        return ("put_back", {**until, "attempts": at.message.attempts})
    if at.quiet_at_due:
        return ("quiet_hours", until)
    return ("not_due", until)


def _by_account(at: Circumstances) -> Told:
    assert at.account is not None
    return ("account_cannot", {"state": at.account["state"], "why": at.account["reason"]})


def _mend_account(at: Circumstances) -> Told:
    return ("mend_account", {"account": at.message.account_id})


def _sending(at: Circumstances) -> tuple[Told, Told, list[Told]]:
    since = {"since": at.message.sending_at}
    if at.owner is not None and at.owner["alive"]:
        return ("in_flight", {**since, "worker": at.owner["name"]}), ("will_settle", {}), []
    return ("in_flight_orphaned", since), ("next_owner_decides", {}), [("run_delivery", {}), ("see_stuck", {})]


def _held(at: Circumstances) -> tuple[Told, Told, list[Told]]:
    cancel: Told = ("cancel", {"id": at.message.id})
    if at.message.reason == "restored":
        return ("held_restored", {}), ("waits_for_person", {}), [("release_restored", {}), cancel]
    now = _by_account(at) if at.account is not None else ("account_gone", {})
    return now, ("goes_when_online", {}), [_mend_account(at), cancel]


def _unknown(at: Circumstances) -> tuple[Told, Told, list[Told]]:
    if at.message.reason == RESENT:
        return ("unknown_resent", {}), ("statuses_may_come", {}), []
    if not at.message.unconfirmed:
        return ("unknown", {}), ("status_decides", {}), [("wait_for_status", {})]
    resend: Told = ("resend_at_risk", {"id": at.message.id})
    return ("unconfirmed", {}), ("statuses_may_come", {}), [resend] if at.message.body is not None else []
