"""What an act changes in a conversation, and which event tells of it. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from carillon.events.catalog.base import Event
from carillon.events.catalog.conversations import (
    ConversationAssigned,
    ConversationOpened,
    ConversationPending,
    ConversationResolved,
    ConversationSnoozed,
    ConversationUpdated,
)

from .contracts import Act, ActKind, Conversation, Priority, Status
from .errors import BadAct
from .text import LONGEST_LABEL, MOST_LABELS, check_line

_STATUS = {
    ActKind.RESOLVE: Status.RESOLVED,
    ActKind.REOPEN: Status.OPEN,
    ActKind.PEND: Status.PENDING,
    ActKind.SNOOZE: Status.SNOOZED,
}


def check_act(act: Act, now: datetime) -> Act:
    """The act with clean parameters.

    Raises:
        BadAct: One is missing or not valid.
    """
    if act.kind is ActKind.SNOOZE and (act.until is None or act.until <= now):
        raise BadAct("Snooze until a time to come.", place="field until")
    if act.kind in (ActKind.LABEL, ActKind.UNLABEL):
        return Act(act.kind, label=check_line(act.label or "", "label", LONGEST_LABEL))
    if act.kind is ActKind.PRIORITISE and act.priority is None:
        raise BadAct("Give the priority.", place="field priority")
    return act


def values_of(one: Conversation, act: Act) -> dict[str, Any]:
    """The attributes that the act changes, with their new values; nothing when it changes none."""
    wanted: dict[str, Any] = {}
    if act.kind in _STATUS:
        wanted = {"status": _STATUS[act.kind], "snoozed_until": act.until if act.kind is ActKind.SNOOZE else None}
        if act.kind is ActKind.RESOLVE:
            wanted["unread"] = 0
    elif act.kind is ActKind.ASSIGN:
        wanted = {"assignee_id": act.assignee_id}
    elif act.kind is ActKind.READ:
        wanted = {"unread": 0}
    elif act.kind is ActKind.UNREAD:
        wanted = {"unread": max(1, one.unread)}
    elif act.kind is ActKind.PRIORITISE:
        wanted = {"priority": act.priority}
    else:
        wanted = {"labels": _labels(one, act)}
    return {name: value for name, value in wanted.items() if value != getattr(one, name)}


def events_of(one: Conversation, values: Mapping[str, Any], actor_id: UUID | None, cause: str) -> list[Event]:
    """What to tell of a change of these attributes."""
    told: list[Event] = []
    if "status" in values or "snoozed_until" in values:
        status = values.get("status", one.status)
        told.append(_of_status(one, status, values.get("snoozed_until"), actor_id, cause))
    if "assignee_id" in values:
        told.append(
            ConversationAssigned(
                conversation_id=one.id, before=one.assignee_id, assignee_id=values["assignee_id"], actor_id=actor_id
            )
        )
    rest = tuple(sorted(values.keys() & {"labels", "priority", "unread"}))
    if rest and not told:
        told.append(ConversationUpdated(conversation_id=one.id, changed=rest, actor_id=actor_id))
    return told


def store(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON, for undo."""
    return {name: _plain(value) for name, value in values.items()}


def load(values: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes again as `store` wrote them."""
    readers: Mapping[str, Any] = {
        "status": Status,
        "snoozed_until": datetime.fromisoformat,
        "assignee_id": UUID,
        "priority": Priority,
        "labels": tuple,
        "unread": int,
    }
    return {name: None if value is None else readers[name](value) for name, value in values.items()}


def _of_status(one: Conversation, status: Status, until: datetime | None, actor_id: UUID | None, cause: str) -> Event:
    if status is Status.OPEN:
        return ConversationOpened(
            conversation_id=one.id,
            account_id=one.account_id,
            contact_id=one.contact_id,
            cause=cause,
            reopened=True,
            actor_id=actor_id,
        )
    if status is Status.SNOOZED:
        until = until or one.snoozed_until or datetime.now(UTC)
        return ConversationSnoozed(conversation_id=one.id, until=until, actor_id=actor_id)
    kind = ConversationResolved if status is Status.RESOLVED else ConversationPending
    return kind(conversation_id=one.id, actor_id=actor_id)


def _labels(one: Conversation, act: Act) -> tuple[str, ...]:
    label = act.label or ""
    if act.kind is ActKind.UNLABEL:
        return tuple(known for known in one.labels if known != label)
    # A full conversation keeps the labels it has.
    return one.labels if label in one.labels or len(one.labels) >= MOST_LABELS else (*one.labels, label)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
