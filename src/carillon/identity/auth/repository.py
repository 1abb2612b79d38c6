"""SQL of people's credentials: the columns of `identity.user` that auth keeps, and the look-up before sign-in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from carillon.storage.database import Tx

from .contracts import Account, OwnTenant


@dataclass(frozen=True, slots=True)
class Credentials:
    """A member's credentials, as stored.

    Attributes:
        user_id: The person.
        email: To name the account in an authenticator app.
        name: A password must not hold it.
        password_hash: By argon2id.
        version: Counts up when all sessions must end.
        totp_secret: Sealed; None without second factor.
        totp_pending: Sealed; one that is being set up.
        totp_last_step: The last time step whose code was used.
        recovery_codes: Hashes of those that are left.
    """

    user_id: UUID
    email: str
    name: str
    password_hash: str
    version: int
    totp_secret: bytes | None
    totp_pending: bytes | None
    totp_last_step: int | None
    recovery_codes: Sequence[bytes]

    def __repr__(self) -> str:
        return f"Credentials({self.user_id})"


async def find_account(tx: Tx, email: str) -> Account | None:
    """Who has this address, whatever the transaction's tenant: the one look across tenants that sign-in needs."""
    rows = await tx.all("SELECT * FROM identity.sign_in(:email)", {"email": email})
    if not rows:
        return None
    tenants = [
        OwnTenant(row["tenant_id"], row["tenant_name"], row["tenant_slug"], row["active"])
        for row in rows
        if row["tenant_id"] is not None
    ]
    return Account(rows[0]["user_id"], rows[0]["password_hash"], tenants)


async def read_credentials(tx: Tx, user_id: UUID) -> Credentials | None:
    """A member's credentials, locked: whoever changes them decides on what it read."""
    row = await tx.first(
        "SELECT id, email, name, password_hash, credential_version, totp_secret, totp_pending, totp_last_step, "
        'recovery_codes FROM identity."user" WHERE id = :id FOR NO KEY UPDATE',
        {"id": user_id},
    )
    if row is None:
        return None
    return Credentials(
        user_id=row["id"],
        email=row["email"],
        name=row["name"],
        password_hash=row["password_hash"],
        version=row["credential_version"],
        totp_secret=row["totp_secret"],
        totp_pending=row["totp_pending"],
        totp_last_step=row["totp_last_step"],
        recovery_codes=row["recovery_codes"],
    )


async def replace_hash(tx: Tx, user_id: UUID, password_hash: str) -> None:
    """Store the same password hashed anew."""
    await tx.execute(
        'UPDATE identity."user" SET password_hash = :hash WHERE id = :id', {"id": user_id, "hash": password_hash}
    )


async def set_password(tx: Tx, user_id: UUID, password_hash: str, now: datetime) -> None:
    """Store a new password, and end all sessions."""
    await tx.execute(
        'UPDATE identity."user" SET password_hash = :hash, credential_version = credential_version + 1, '
        "updated_at = :now WHERE id = :id",
        {"id": user_id, "hash": password_hash, "now": now},
    )


async def end_sessions(tx: Tx, user_id: UUID) -> None:
    """End all sessions, in every tenant."""
    await tx.execute(
        'UPDATE identity."user" SET credential_version = credential_version + 1 WHERE id = :id', {"id": user_id}
    )


async def set_pending_factor(tx: Tx, user_id: UUID, sealed: bytes) -> None:
    """Store a second factor that is being set up."""
    await tx.execute(
        'UPDATE identity."user" SET totp_pending = :sealed WHERE id = :id', {"id": user_id, "sealed": sealed}
    )


async def activate_factor(tx: Tx, user_id: UUID, step: int, recovery: Sequence[bytes]) -> None:
    """Make the pending second factor the active one."""
    await tx.execute(
        'UPDATE identity."user" SET totp_secret = totp_pending, totp_pending = NULL, totp_last_step = :step, '
        "recovery_codes = :recovery WHERE id = :id",
        {"id": user_id, "step": step, "recovery": list(recovery)},
    )


async def remove_factor(tx: Tx, user_id: UUID) -> None:
    """Forget the second factor, its recovery codes and one that was being set up."""
    await tx.execute(
        'UPDATE identity."user" SET totp_secret = NULL, totp_pending = NULL, totp_last_step = NULL, '
        "recovery_codes = '{}' WHERE id = :id",
        {"id": user_id},
    )


async def set_recovery_codes(tx: Tx, user_id: UUID, recovery: Sequence[bytes]) -> None:
    """Replace the recovery codes."""
    await tx.execute(
        'UPDATE identity."user" SET recovery_codes = :recovery WHERE id = :id',
        {"id": user_id, "recovery": list(recovery)},
    )


async def use_step(tx: Tx, user_id: UUID, step: int) -> bool:
    """Use a time step up; False if it, or a later one, was used."""
    result = await tx.execute(
        'UPDATE identity."user" SET totp_last_step = :step '
        "WHERE id = :id AND (totp_last_step IS NULL OR totp_last_step < :step)",
        {"id": user_id, "step": step},
    )
    return bool(result.rowcount)


async def use_recovery_code(tx: Tx, user_id: UUID, digest: bytes) -> bool:
    """Use a recovery code up; False if there is none like it."""
    result = await tx.execute(
        'UPDATE identity."user" SET recovery_codes = array_remove(recovery_codes, :digest) '
        "WHERE id = :id AND :digest = ANY(recovery_codes)",
        {"id": user_id, "digest": digest},
    )
    return bool(result.rowcount)


async def note_sign_in(tx: Tx, user_id: UUID, now: datetime) -> None:
    """Note when a member last signed in to this tenant."""
    await tx.execute(
        "UPDATE identity.membership SET last_signed_in_at = :now WHERE tenant_id = :tenant AND user_id = :user",
        {"tenant": tx.tenant, "user": user_id, "now": now},
    )
