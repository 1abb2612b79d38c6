"""One's own account: who am I, a new password, other sessions; and the operator's way back in."""

from uuid import UUID

from carillon.identity.audit import api as audit
from carillon.identity.tenants import api as tenants
from carillon.identity.users import api as users
from carillon.identity.users.errors import UserNotFound
from carillon.kernel.subject import Subject, SubjectKind, system_subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import passwords, repository, sessions
from .confirmation import acting_user, confirm_password
from .contracts import Me, OwnTenant
from .sign_in import list_own_tenants


async def get_me(tx: Tx, subject: Subject) -> Me:
    """Who acts, what they may do, and where else they could go."""
    tenant = await tenants.get_tenant(tx)
    if subject.kind is SubjectKind.USER and subject.id is not None:
        user, own = await users.get_member(tx, subject.id), await list_own_tenants(tx, subject)
    else:
        user, own = None, [OwnTenant(tenant.id, tenant.name, tenant.slug, active=True)]
    return Me(subject.kind, subject.credential_id, subject.permissions, tenant, user, own)


async def change_password(resources: Resources, tx: Tx, subject: Subject, *, current: str, new: str) -> None:
    """Set a new password; all other sessions, in every tenant, end within 5 seconds. Keys go on.

    Raises:
        UsersOnly: A key asks.
        PasswordWrong, Throttled: The present password is not right, or that was tried too often.
        PasswordTooWeak: The new one is refused, or the same.
    """
    mine = await confirm_password(resources, tx, subject, current)
    passwords.check_password(new, email=mine.email, name=mine.name)
    passwords.check_changed(current, new)
    now = resources.clock.now()
    await repository.set_password(tx, mine.user_id, await passwords.hash_password(new), now)
    await sessions.keep_only(tx, mine.user_id, subject.credential_id)
    await audit.record(tx, subject, "user.password_changed", mine.user_id)


async def end_other_sessions(tx: Tx, subject: Subject) -> None:
    """End all of one's sessions but this, in every tenant, within 5 seconds.

    Raises:
        UsersOnly: A key asks.
    """
    user_id = acting_user(subject)
    await repository.end_sessions(tx, user_id)
    await sessions.keep_only(tx, user_id, subject.credential_id)
    await audit.record(tx, subject, "user.other_sessions_ended", user_id)


async def end_own_session(tx: Tx, subject: Subject, session_id: UUID) -> None:
    """End one of one's sessions in this tenant, within 5 seconds.

    Raises:
        UsersOnly: A key asks.
        SessionNotFound: They have none of that id.
    """
    user_id = acting_user(subject)
    await sessions.end_session(tx, user_id, session_id)
    await audit.record(tx, subject, "user.session_ended", user_id, {"session_id": session_id})


async def reset_password(resources: Resources, email: str, *, keep_second_factor: bool = True) -> str:
    """For the command line: give a person a random password, which is returned; all their sessions end.

    Args:
        resources: Of a worker, which may look across tenants.
        email: In any case.
        keep_second_factor: False for somebody who lost it and the recovery codes.

    Raises:
        UserNotFound: Nobody has this address.
    """
    address = users.normalise_email(email)
    password = passwords.random_password()
    hashed = await passwords.hash_password(password)
    async with resources.database.across_tenants() as tx:
        account = await repository.find_account(tx, address)
        if account is None:
            raise UserNotFound
        await repository.set_password(tx, account.user_id, hashed, resources.clock.now())
        if not keep_second_factor:
            await repository.remove_factor(tx, account.user_id)
        # In one order for all, since each holds the end of its tenant's log.
        for own in sorted(account.tenants, key=lambda tenant: tenant.id):
            inside = await tx.enter(own.id)
            details = {"kept_second_factor": keep_second_factor}
            await audit.record(inside, system_subject(own.id), "user.password_reset", account.user_id, details)
    return password
