"""Accounts that a process remembers between calls of their platforms: their secrets are not decrypted each time.

What is remembered counts only as long as the row is unchanged, which the database says in the transaction that uses
it: a new secret, another setting or a deletion takes effect at once, in every process.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import RowMapping

from carillon.kernel.clock import Clock
from carillon.platforms.connectors.port import AccountConfig, Platform
from carillon.storage.database import Tx
from carillon.storage.vault import Vault

from . import repository
from .contracts import Account
from .errors import AccountNotFound

_KEEP = 30.0
"""Seconds: longer than an account is quiet under load, shorter than a secret should lie in memory for nothing."""
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Remembered:
    """An account and what its connector needs to read a call: no proxy, and what the connector saved is left out.

    Attributes:
        account: As of `version`.
        config: With its secret decrypted.
        version: Of the account's row.
    """

    account: Account
    config: AccountConfig
    version: str


class AccountMemory:
    """Bounded in number and time; one per process and purpose."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        """Create an empty one."""
        self._vault = vault
        self._clock = clock
        self._kept: dict[tuple[UUID, UUID], tuple[float, Remembered]] = {}

    def recall(self, tenant_id: UUID, account_id: UUID) -> Remembered | None:
        """What is remembered, true or not: whoever acts on it asks `versions` in the transaction that does so."""
        kept = self._kept.get((tenant_id, account_id))
        return kept[1] if kept is not None and kept[0] > self._clock.boottime() else None

    async def load(self, tx: Tx, account_id: UUID) -> Remembered:
        """The account as it is now.

        Raises:
            AccountNotFound: It is not there.
            carillon.storage.vault.SecretUnreadable: The key does not fit.
        """
        loaded = await self._load(tx, [account_id])
        if not loaded:
            raise AccountNotFound
        return loaded[account_id]

    async def current(self, tx: Tx, ids: Collection[UUID]) -> dict[UUID, Remembered]:
        """The accounts as they are now, in one statement for all that did not change; without those that are gone.

        Raises:
            carillon.storage.vault.SecretUnreadable: The key does not fit.
        """
        versions = await repository.versions(tx, ids)
        found = {
            one: kept for one in ids if (kept := self.recall(tx.tenant, one)) and kept.version == versions.get(one)
        }
        missing = [one for one in ids if one not in found]
        return {**found, **(await self._load(tx, missing))} if missing else found

    async def removed(self, tx: Tx, ids: Collection[UUID]) -> dict[UUID, Remembered]:
        """Accounts that were removed, without secrets: what they were told before must still be heard."""
        return {row["id"]: self._read(tx.tenant, row) for row in await repository.known(tx, ids, removed=True)}

    async def _load(self, tx: Tx, ids: Collection[UUID]) -> Mapping[UUID, Remembered]:
        loaded = {row["id"]: self._read(tx.tenant, row) for row in await repository.known(tx, ids)}
        now = self._clock.boottime()
        if len(self._kept) + len(loaded) > _MOST:
            self._kept = {place: kept for place, kept in self._kept.items() if kept[0] > now}
        if len(self._kept) + len(loaded) > _MOST:
            self._kept.clear()
        self._kept |= {(tx.tenant, account_id): (now + _KEEP, one) for account_id, one in loaded.items()}
        return loaded

    def _read(self, tenant_id: UUID, row: RowMapping) -> Remembered:
        account = repository.read(row)
        secret, version = row["secret"], row["secret_version"]
        if secret is not None:
            secret = self._vault.open(secret, tenant_id=tenant_id, account_id=account.id, version=version)
        config = AccountConfig(
            id=account.id,
            platform=Platform(account.platform),
            address=account.address,
            settings=account.settings,
            secret=secret,
        )
        return Remembered(account, config, row["version"])


async def versions(tx: Tx, ids: Collection[UUID]) -> dict[UUID, str]:
    """What version accounts are of now, in one statement; those that are not there are left out."""
    return await repository.versions(tx, ids)
