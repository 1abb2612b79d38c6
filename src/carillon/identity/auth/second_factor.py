"""The second factor of a person: set up, used, turned off."""

from datetime import datetime
from uuid import UUID

from carillon.identity.audit import api as audit
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from carillon.storage.vault import Vault

from . import repository, throttle, totp
from .confirmation import acting_user, confirm_password, own_credentials
from .contracts import Enrolment, SecondFactor
from .errors import CodeInvalid, SecondFactorActive, SecondFactorInactive, SecondFactorInvalid
from .repository import Credentials


async def get_second_factor(tx: Tx, subject: Subject) -> SecondFactor:
    """Whether one's second factor is active.

    Raises:
        UsersOnly: A key asks.
    """
    mine = await own_credentials(tx, subject)
    return SecondFactor(mine.totp_secret is not None, len(mine.recovery_codes))


async def enrol(resources: Resources, tx: Tx, subject: Subject, password: str) -> Enrolment:
    """Begin to set one up; it is asked for only once `confirm` has seen a code of it.

    Raises:
        UsersOnly: A key asks.
        PasswordWrong, Throttled: The password is not right, or that was tried too often.
        SecondFactorActive: There is one.
    """
    mine = await confirm_password(resources, tx, subject, password)
    if mine.totp_secret is not None:
        raise SecondFactorActive
    secret = totp.new_secret()
    await repository.set_pending_factor(tx, mine.user_id, _seal(resources.vault, mine.user_id, secret))
    return Enrolment(secret, totp.enrolment_uri(secret, mine.email))


async def confirm(resources: Resources, tx: Tx, subject: Subject, code: str) -> list[str]:
    """Make the second factor active; returns ten recovery codes, known only now.

    Raises:
        UsersOnly: A key asks.
        SecondFactorActive, SecondFactorInactive: There is one, or none was begun.
        CodeInvalid, Throttled: The code is not right, or that was tried too often.
    """
    mine = await own_credentials(tx, subject)
    if mine.totp_secret is not None:
        raise SecondFactorActive
    if mine.totp_pending is None:
        raise SecondFactorInactive
    now = resources.clock.now()
    await throttle.spend(resources.database, resources.vault, [throttle.confirmation_bucket(mine.user_id)], now)
    secret = _open(resources.vault, mine.user_id, mine.totp_pending)
    step = totp.matching_step(secret, code, now, None)
    if step is None:
        raise CodeInvalid(place="body.code")
    codes, hashes = _recovery(resources.vault, mine.user_id)
    await repository.activate_factor(tx, mine.user_id, step, hashes)
    await audit.record(tx, subject, "second_factor.activated", mine.user_id)
    return codes


async def renew_recovery_codes(resources: Resources, tx: Tx, subject: Subject, password: str) -> list[str]:
    """Ten new recovery codes, known only now; the old ones stop working.

    Raises:
        UsersOnly: A key asks.
        PasswordWrong, Throttled: The password is not right, or that was tried too often.
        SecondFactorInactive: There is no second factor.
    """
    mine = await confirm_password(resources, tx, subject, password)
    if mine.totp_secret is None:
        raise SecondFactorInactive
    codes, hashes = _recovery(resources.vault, mine.user_id)
    await repository.set_recovery_codes(tx, mine.user_id, hashes)
    await audit.record(tx, subject, "second_factor.recovery_codes_renewed", mine.user_id)
    return codes


async def disable(resources: Resources, tx: Tx, subject: Subject, password: str) -> None:
    """Turn the second factor off.

    Raises:
        UsersOnly: A key asks.
        PasswordWrong, Throttled: The password is not right, or that was tried too often.
        SecondFactorInactive: There is none.
    """
    mine = await confirm_password(resources, tx, subject, password)
    if mine.totp_secret is None:
        raise SecondFactorInactive
    await repository.remove_factor(tx, acting_user(subject))
    await audit.record(tx, subject, "second_factor.disabled", mine.user_id)


async def use_code(tx: Tx, vault: Vault, credentials: Credentials, code: str, now: datetime) -> str:
    """Use a code of the app or a recovery code up, in the transaction that opens the session; returns which it was.

    Raises:
        SecondFactorInvalid: Wrong, too old or used.
    """
    assert credentials.totp_secret is not None
    user_id = credentials.user_id
    secret = _open(vault, user_id, credentials.totp_secret)
    step = totp.matching_step(secret, code, now, credentials.totp_last_step)
    if step is not None and await repository.use_step(tx, user_id, step):
        return "totp"
    digest = totp.recovery_hash(vault, user_id, code)
    if digest is not None and await repository.use_recovery_code(tx, user_id, digest):
        return "recovery"
    raise SecondFactorInvalid


def _recovery(vault: Vault, user_id: UUID) -> tuple[list[str], list[bytes]]:
    codes = totp.new_recovery_codes()
    return codes, [digest for code in codes if (digest := totp.recovery_hash(vault, user_id, code))]


def _seal(vault: Vault, user_id: UUID, secret: str) -> bytes:
    # A person's secret belongs to no tenant, so it is bound to the person twice.
    return vault.seal(secret.encode(), tenant_id=user_id, account_id=user_id, version=0)


def _open(vault: Vault, user_id: UUID, sealed: bytes) -> str:
    return vault.open(sealed, tenant_id=user_id, account_id=user_id, version=0).decode()
