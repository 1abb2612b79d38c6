"""Accepting an invitation: with one's own password if one has an account, else with a new one."""

from carillon.identity.audit import api as audit
from carillon.identity.tenants import api as tenants
from carillon.identity.tokens import Token
from carillon.identity.users import api as users
from carillon.identity.users.contracts import Invitation, NewUser
from carillon.identity.users.errors import EmailTaken, InvitationInvalid
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import passwords, repository, throttle
from .contracts import Account, Client, InvitationPreview, OpenedSession
from .sign_in import open_for, prove_password


async def preview_invitation(resources: Resources, token: str) -> InvitationPreview:
    """What an invitation is for.

    Raises:
        InvitationInvalid: It does not work.
    """
    parsed = users.read_invitation_token(token)
    async with resources.database.transaction(parsed.tenant_id) as tx:
        invitation = await users.open_invitation(tx, resources.vault, parsed, resources.clock.now())
        tenant = await tenants.get_tenant(tx)
        account = await repository.find_account(tx, invitation.email)
    return InvitationPreview(tenant.name, invitation.email, invitation.role_name, account is not None)


async def accept_invitation(
    resources: Resources,
    client: Client,
    *,
    token: str,
    password: str,
    name: str | None = None,
    code: str | None = None,
) -> OpenedSession:
    """Become a member and sign in.

    Whoever has an account proves it with their password (and second factor); the others choose a password and a name.

    Raises:
        InvitationInvalid: It does not work.
        PasswordTooWeak: A new password is refused.
        Throttled, InvalidCredentials, SecondFactorRequired, SecondFactorInvalid, SignInBusy: As for signing in.
        AlreadyMember: They are one.
        EmailTaken: They made an account at this very moment.
    """
    audit.set_origin(client.address, client.request_id)
    parsed = users.read_invitation_token(token)
    async with resources.database.transaction(parsed.tenant_id) as tx:
        invitation = await users.open_invitation(tx, resources.vault, parsed, resources.clock.now())
        account = await repository.find_account(tx, invitation.email)
    if account is not None:
        account = await prove_password(resources, client, invitation.email, password)
        if code is not None:
            bucket = throttle.second_factor_bucket(account.user_id)
            await throttle.spend(resources.database, resources.vault, [bucket], resources.clock.now())
        new = None
    else:
        shown = name or invitation.email.partition("@")[0]
        passwords.check_password(password, email=invitation.email, name=shown)
        new = NewUser(invitation.email, shown, await passwords.hash_password(password))
    async with resources.database.transaction(parsed.tenant_id) as tx:
        joined = await _join(resources, tx, parsed, account or new)
        return await open_for(resources, tx, client, joined, code)


async def _join(resources: Resources, tx: Tx, token: Token, who: Account | NewUser | None) -> Account:
    # Read once more and used up in the transaction that makes them a member: a link works once.
    invitation = await users.open_invitation(tx, resources.vault, token, resources.clock.now())
    if who is None or not await users.consume(tx, invitation.id):
        raise InvitationInvalid
    account = await _account(tx, invitation, who)
    subject = Subject(tx.tenant, SubjectKind.USER, account.user_id, 0)
    await users.join(tx, subject, account.user_id, invitation.role_id, invited_by=invitation.invited_by)
    return account


async def _account(tx: Tx, invitation: Invitation, who: Account | NewUser) -> Account:
    if isinstance(who, Account):
        return who
    if who.email != invitation.email:
        raise EmailTaken
    return Account(await users.add_user(tx, who), who.password_hash, ())
