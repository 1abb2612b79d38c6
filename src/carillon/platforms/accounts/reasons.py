"""Why an account is in its state, for the person who can do something about it: texts as data.

A connector gives its own words (`Account.reason`); the code tells which entry explains them. Where it gives none, the
state's own entry does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from carillon.platforms.connectors.port import AccountState as S


@dataclass(frozen=True, slots=True)
class Reason:
    """An explanation.

    Attributes:
        code: Stable.
        happened: What happened.
        advice: What to do; empty when nothing needs to be done.
    """

    code: str
    happened: str
    advice: str


_REASONS = (
    Reason("waiting", "The account waits for a worker to open it.", ""),
    Reason("signing_in", "The account is being signed in.", ""),
    Reason(
        "degraded",
        "The account works with trouble: connections fail or the platform answers late.",
        "Nothing is lost, sending goes on by itself. If it lasts, look at the proxy and the platform's status page.",
    ),
    Reason(
        "flooded",
        "The platform asked the account to wait because it sent too fast.",
        "It goes on by itself when the wait is over. Lower its rate if this happens often.",
    ),
    Reason(
        "restricted",
        "The platform restricted the account: it may answer people but not write to strangers.",
        "Stop campaigns on it, ask the platform's support or its own bot for the reason, and wait.",
    ),
    Reason(
        "banned",
        "The platform banned the account.",
        "Appeal with the platform. When it lifts the ban, choose “sign in again”.",
    ),
    Reason(
        "signed_out",
        "The platform ended the account's session, or its credentials are wrong.",
        "Check who signed it out, enter new credentials and choose “sign in again”.",
    ),
    Reason("parked", "A person parked the account.", "Unpark it when it shall run again."),
    Reason(
        "cannot_open",
        "The account cannot be opened as it is set up; the connector says why.",
        "Correct its settings or credentials and it is tried again, or unpark it when the cause is gone.",
    ),
    Reason(
        "proxy_down",
        "The account's proxy does not answer and no other may be used; it never falls back to the bare address.",
        "Repair the proxy or bind another one; the account goes on by itself.",
    ),
    Reason("proxy_changed", "The account moves to another proxy.", "It goes on by itself in some seconds."),
    Reason(
        "reopening", "The account's settings changed; it is being reopened.", "It goes on by itself in some seconds."
    ),
    Reason("lease_lost", "Another process owns this account now.", "It goes on by itself."),
)

REASONS: Mapping[str, Reason] = MappingProxyType({reason.code: reason for reason in _REASONS})
"""By code."""

RESUMABLE = ("proxy_down", "proxy_changed", "reopening", "lease_lost")
"""Codes of accounts that the product parked and lets go on by itself."""

_OF_STATE: Mapping[S, str] = MappingProxyType(
    {
        S.NEW: "waiting",
        S.SIGNING_IN: "signing_in",
        S.ONLINE: "",
        S.DEGRADED: "degraded",
        S.FLOODED: "flooded",
        S.RESTRICTED: "restricted",
        S.BANNED: "banned",
        S.SIGNED_OUT: "signed_out",
        # A person's own parking gives its code; this is a connector's.
        S.PARKED: "cannot_open",
    }
)
_BY_TEXT: Mapping[str, str] = MappingProxyType({reason.happened: reason.code for reason in _REASONS})


def code_for(state: S, text: str) -> str:
    """The code of a text that is one of ours, else of the state; empty for an account that is well."""
    return _BY_TEXT.get(text, _OF_STATE[state])


def explain(code: str) -> Reason | None:
    """The explanation; None when there is nothing to explain."""
    return REASONS.get(code)
