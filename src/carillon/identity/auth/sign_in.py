"""Signing in, and going over to another of one's tenants."""

from uuid import UUID

from carillon.identity.audit import api as audit
from carillon.identity.errors import AccountSuspended, InvalidCredentials
from carillon.identity.users import api as users
from carillon.kernel.subject import Subject, SubjectKind, system_subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import passwords, repository, sessions, throttle
from .confirmation import acting_user, own_credentials
from .contracts import Account, Client, OpenedSession, OwnTenant
from .errors import NotAMember, SecondFactorRequired
from .second_factor import use_code

_NOWHERE = UUID(int=0)


async def sign_in(
    resources: Resources,
    client: Client,
    *,
    email: str,
    password: str,
    code: str | None = None,
    tenant: str | None = None,
) -> OpenedSession:
    """Open a session for a person who shows their password and, if they have one, their second factor.

    An unknown address costs the same time and gives the same answer as a wrong password.

    Args:
        resources: The process's parts.
        client: Who asks.
        email: In any case.
        password: As typed.
        code: Of the authenticator app, or a recovery code.
        tenant: Slug; the one they used last when left out.

    Raises:
        EmailInvalid: Not an address.
        Throttled: Too many attempts from there, or for that account.
        InvalidCredentials: Address or password is wrong.
        SecondFactorRequired, SecondFactorInvalid: The code is missing or wrong.
        NotAMember, AccountSuspended: There is no tenant to sign in to.
        SignInBusy: Too many people at once.
    """
    audit.set_origin(client.address, client.request_id)
    address = users.normalise_email(email)
    account = await prove_password(resources, client, address, password)
    chosen = _choose(account, tenant)
    # Made before the transaction, which must be short.
    rehashed = await passwords.hash_password(password) if passwords.needs_rehash(account.password_hash) else None
    if code is not None:
        await _spend_code(resources, account.user_id)
    async with resources.database.transaction(chosen.id) as tx:
        opened = await open_for(resources, tx, client, account, code)
        if rehashed:
            await repository.replace_hash(tx, account.user_id, rehashed)
    return opened


async def prove_password(resources: Resources, client: Client, email: str, password: str) -> Account:
    """The account of an address, if the password is its own.

    Raises:
        Throttled, InvalidCredentials, SignInBusy: See `sign_in`.
    """
    vault, now = resources.vault, resources.clock.now()
    async with resources.database.across_tenants() as tx:
        await throttle.spend_in(tx, vault, throttle.sign_in_buckets(email, client.address), now)
        account = await repository.find_account(tx, email)
    right = await passwords.verify_password(password, account.password_hash if account else None)
    if account is None or not right:
        await _note_failure(resources, account)
        raise InvalidCredentials
    async with resources.database.across_tenants() as tx:
        await throttle.forgive(tx, vault, throttle.account_buckets(email, client.address))
    return account


async def open_for(resources: Resources, tx: Tx, client: Client, account: Account, code: str | None) -> OpenedSession:
    """Open a session for a member who has shown their password, in the tenant's transaction.

    Raises:
        InvalidCredentials: The password was changed meanwhile.
        SecondFactorRequired, SecondFactorInvalid: See `sign_in`.
    """
    vault, now = resources.vault, resources.clock.now()
    mine = await repository.read_credentials(tx, account.user_id)
    if mine is None or mine.password_hash != account.password_hash:
        raise InvalidCredentials
    method = "password"
    if mine.totp_secret is not None:
        if code is None:
            raise SecondFactorRequired
        method = await use_code(tx, vault, mine, code, now)
        await throttle.forgive(tx, vault, [throttle.second_factor_bucket(mine.user_id)])
    opened = await sessions.open_session(tx, vault, mine.user_id, version=mine.version, client=client, now=now)
    await repository.note_sign_in(tx, mine.user_id, now)
    # Who it is was just proved; what they may do, their first request will tell.
    subject = Subject(tx.tenant, SubjectKind.USER, mine.user_id, 0, opened.session.id)
    await audit.record(tx, subject, "user.signed_in", mine.user_id, {"method": method})
    return opened


async def switch_tenant(
    resources: Resources, tx: Tx, subject: Subject, client: Client, tenant_id: UUID
) -> OpenedSession:
    """Open a session in another of one's tenants, and end the present one when `tx` commits.

    Raises:
        UsersOnly: A key asks.
        NotAMember: It is none of theirs, or suspended.
    """
    mine = await own_credentials(tx, subject)
    if not any(own.id == tenant_id and own.active for own in await list_own_tenants(tx, subject)):
        raise NotAMember
    now = resources.clock.now()
    async with resources.database.transaction(tenant_id) as there:
        opened = await sessions.open_session(
            there, resources.vault, mine.user_id, version=mine.version, client=client, now=now
        )
        await repository.note_sign_in(there, mine.user_id, now)
        new = Subject(tenant_id, SubjectKind.USER, mine.user_id, 0, opened.session.id)
        await audit.record(there, new, "user.signed_in", mine.user_id, {"method": "switch"})
    if subject.credential_id is not None:
        await sessions.end_session(tx, mine.user_id, subject.credential_id)
    return opened


async def list_own_tenants(tx: Tx, subject: Subject) -> list[OwnTenant]:
    """The acting person's tenants, the one they used last first.

    Raises:
        UsersOnly: A key asks.
    """
    member = await users.get_member(tx, acting_user(subject))
    account = await repository.find_account(tx, member.email)
    return list(account.tenants) if account else []


async def sign_out(tx: Tx, subject: Subject) -> None:
    """End the present session.

    Raises:
        UsersOnly: A key asks.
        SessionNotFound: It was ended meanwhile.
    """
    user_id = acting_user(subject)
    assert subject.credential_id is not None
    await sessions.end_session(tx, user_id, subject.credential_id)
    await audit.record(tx, subject, "user.signed_out", user_id)


def _choose(account: Account, slug: str | None) -> OwnTenant:
    wanted = [own for own in account.tenants if slug is None or own.slug == slug]
    if slug is not None and not wanted:
        raise NotAMember
    active = [own for own in wanted if own.active]
    if not active:
        raise AccountSuspended
    return active[0]


async def _spend_code(resources: Resources, user_id: UUID) -> None:
    bucket = throttle.second_factor_bucket(user_id)
    await throttle.spend(resources.database, resources.vault, [bucket], resources.clock.now())


async def _note_failure(resources: Resources, account: Account | None) -> None:
    """Write a failed attempt into the log of the person's tenant.

    For an unknown address the same is done and undone, nowhere, and neither waits for the disk: the time that the
    answer takes must not tell whether the address is known.
    """
    known = account is not None and account.tenants
    tenant_id = account.tenants[0].id if account is not None and account.tenants else _NOWHERE
    async with resources.database.transaction(tenant_id) as tx:
        await tx.execute("SET LOCAL synchronous_commit = off")
        savepoint = await tx.connection.begin_nested()
        await audit.record(tx, system_subject(tenant_id), "user.sign_in_failed", account.user_id if account else None)
        await (savepoint.commit() if known else savepoint.rollback())
