"""Asking a signed-in person for the password once more, before something that outlives the session."""

from uuid import UUID

from carillon.identity.errors import UsersOnly
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from . import passwords, repository, throttle
from .errors import PasswordWrong
from .repository import Credentials


def acting_user(subject: Subject) -> UUID:
    """The person who acts.

    Raises:
        UsersOnly: It is a key or the system.
    """
    if subject.kind is not SubjectKind.USER or subject.id is None:
        raise UsersOnly
    return subject.id


async def own_credentials(tx: Tx, subject: Subject) -> Credentials:
    """The acting person's credentials.

    Raises:
        UsersOnly: It is a key or the system.
    """
    found = await repository.read_credentials(tx, acting_user(subject))
    if found is None:
        # Removed since the request was let in.
        raise UsersOnly
    return found


async def confirm_password(resources: Resources, tx: Tx, subject: Subject, password: str) -> Credentials:
    """The acting person's credentials, if the password is theirs.

    Raises:
        UsersOnly: It is a key or the system.
        PasswordWrong: It is not right.
        Throttled: It was tried too often.
    """
    user_id = acting_user(subject)
    bucket = throttle.confirmation_bucket(user_id)
    await throttle.spend(resources.database, resources.vault, [bucket], resources.clock.now())
    mine = await own_credentials(tx, subject)
    if not await passwords.verify_password(password, mine.password_hash):
        raise PasswordWrong(place="body.password")
    await throttle.forgive(tx, resources.vault, [bucket])
    return mine
