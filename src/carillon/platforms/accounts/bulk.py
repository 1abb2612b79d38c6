"""Many accounts at once: adding, parking, labelling; each with its own result, and undone where that is possible."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, select, update

from carillon.events import outbox
from carillon.events.catalog.accounts import AccountUpdated
from carillon.identity.audit import api as audit
from carillon.kernel.errors import CarillonError
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject
from carillon.platforms.connectors.port import AccountState
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .checks import LONGEST_LABEL, MOST_LABELS, check_text
from .contracts import Account, AccountFilter, BulkKind, BulkResult, ItemResult, NewAccount
from .errors import ActionNotFound, AlreadyUndone, BadAccount
from .life import STOPPED, enter
from .listing import conditions
from .models import account, account_action
from .service import add
from .states import By

_OPPOSITE = {
    BulkKind.PARK: BulkKind.UNPARK,
    BulkKind.UNPARK: BulkKind.PARK,
    BulkKind.LABEL: BulkKind.UNLABEL,
    BulkKind.UNLABEL: BulkKind.LABEL,
}
_LABELLING = frozenset({BulkKind.LABEL, BulkKind.UNLABEL})


async def create_many(tx: Tx, vault: Vault, subject: Subject, rows: Sequence[NewAccount]) -> tuple[ItemResult, ...]:
    """Add accounts; a row that is not valid keeps none of the others back.

    Returns:
        One result per row, in order.
    """
    results = []
    for row in rows:
        try:
            results.append(ItemResult((await add(tx, vault, row)).id, "done"))
        except CarillonError as error:
            results.append(ItemResult(None, "refused", error.code, str(error)))
    created = sum(result.id is not None for result in results)
    if created:
        await audit.record(tx, subject, "accounts.created", None, {"count": created})
    return tuple(results)


async def act(
    tx: Tx,
    subject: Subject,
    kind: BulkKind,
    *,
    ids: Sequence[UUID] | None = None,
    matching: AccountFilter | None = None,
    label: str | None = None,
) -> BulkResult:
    """Do something to the named accounts, or to all that match a filter.

    Raises:
        BadAccount: Not exactly one of `ids` and `matching` was given, or the label is missing or not valid.
    """
    if (ids is None) == (matching is None):
        raise BadAccount("Give either ids or a filter.", place="field ids")
    if kind in _LABELLING:
        label = check_text(label or "", "label", LONGEST_LABEL)
    target = account.c.id.in_(list(ids or ())) if matching is None else and_(*conditions(tx, matching))
    results, changed = await _apply(tx, kind, target, label)
    missing = set(ids or ()) - {result.id for result in results}
    results += [ItemResult(gone, "refused", "account_not_found", "There is no such account.") for gone in missing]
    action_id = uuid7()
    await tx.execute(
        insert(account_action).values(
            tenant_id=tx.tenant,
            id=action_id,
            kind=kind.value,
            label=label,
            account_ids=changed,
            created_by=subject.id,
        )
    )
    details = {"kind": kind.value, "count": len(changed), "label": label}
    await audit.record(tx, subject, "accounts.changed", action_id, details)
    return BulkResult(action_id, len(changed), tuple(results))


async def undo(tx: Tx, subject: Subject, action_id: UUID) -> BulkResult:
    """Do the opposite to those accounts that a bulk action changed.

    Raises:
        ActionNotFound: There is none.
        AlreadyUndone: It was undone before.
    """
    row = await tx.first(
        select(account_action)
        .where(account_action.c.tenant_id == tx.tenant, account_action.c.id == action_id)
        .with_for_update()
    )
    if row is None:
        raise ActionNotFound
    if row["undone_at"] is not None:
        raise AlreadyUndone
    kind = _OPPOSITE[BulkKind(row["kind"])]
    results, changed = await _apply(tx, kind, account.c.id.in_(row["account_ids"]), row["label"])
    await tx.execute(
        update(account_action)
        .where(account_action.c.tenant_id == tx.tenant, account_action.c.id == action_id)
        .values(undone_at=datetime.now(UTC))
    )
    await audit.record(tx, subject, "accounts.change_undone", action_id, {"count": len(changed)})
    return BulkResult(action_id, len(changed), tuple(results))


async def _apply(
    tx: Tx, kind: BulkKind, target: ColumnElement[bool], label: str | None
) -> tuple[list[ItemResult], list[UUID]]:
    """The result for each account, and the ids of those that changed."""
    accounts = await repository.find_many(tx, target)
    refused = {one.id: _refusal(kind, one, label) for one in accounts}
    fit = [one for one in accounts if refused[one.id] is None and _differs(kind, one, label)]
    await _DO[kind](tx, fit, label)
    changed = {one.id for one in fit}
    return [_result(one, refused[one.id], changed) for one in accounts], [one.id for one in fit]


def _refusal(kind: BulkKind, one: Account, label: str | None) -> tuple[str, str] | None:
    if kind is BulkKind.PARK and one.state in STOPPED:
        return "account_stopped", "The account is banned or signed out."
    if kind is BulkKind.LABEL and label not in one.labels and len(one.labels) >= MOST_LABELS:
        return "too_many_labels", f"An account has at most {MOST_LABELS} labels."
    return None


def _differs(kind: BulkKind, one: Account, label: str | None) -> bool:
    if kind in _LABELLING:
        return (label in one.labels) is (kind is BulkKind.UNLABEL)
    if kind is BulkKind.PARK:
        return not one.parked
    # Also what a connector or the product parked.
    return one.parked or one.state is AccountState.PARKED


def _result(one: Account, refusal: tuple[str, str] | None, changed: set[UUID]) -> ItemResult:
    if refusal is not None:
        return ItemResult(one.id, "refused", *refusal)
    return ItemResult(one.id, "done" if one.id in changed else "unchanged")


async def _park(tx: Tx, accounts: Sequence[Account], _label: str | None) -> None:
    await enter(tx, accounts, AccountState.PARKED, by=By.OPERATOR, code="parked", parked=True)


async def _unpark(tx: Tx, accounts: Sequence[Account], _label: str | None) -> None:
    if accounts:
        await repository.write_many(tx, [one.id for one in accounts], {"parked": False})
    still = [one for one in accounts if one.state is AccountState.PARKED]
    await enter(tx, still, AccountState.NEW, by=By.OPERATOR, code="waiting")


async def _label(tx: Tx, accounts: Sequence[Account], label: str | None) -> None:
    await _relabel(tx, accounts, func.array_append(account.c.labels, label))


async def _unlabel(tx: Tx, accounts: Sequence[Account], label: str | None) -> None:
    await _relabel(tx, accounts, func.array_remove(account.c.labels, label))


async def _relabel(tx: Tx, accounts: Sequence[Account], labels: ColumnElement[Any]) -> None:
    if accounts:
        values = {"labels": labels, "updated_at": datetime.now(UTC)}
        await repository.write_many(tx, [one.id for one in accounts], values)
        await outbox.append(tx, *[AccountUpdated(account_id=one.id, changed=("labels",)) for one in accounts])


_DO: dict[BulkKind, Callable[[Tx, Sequence[Account], str | None], Any]] = {
    BulkKind.PARK: _park,
    BulkKind.UNPARK: _unpark,
    BulkKind.LABEL: _label,
    BulkKind.UNLABEL: _unlabel,
}
