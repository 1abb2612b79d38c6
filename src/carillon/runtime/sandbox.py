"""Accounts on the simulated platform, so that a newcomer has something to send from."""

from uuid import UUID

from carillon.kernel.subject import system_subject
from carillon.platforms.accounts import api as accounts
from carillon.platforms.connectors.port import Platform
from carillon.storage.resources import Resources


async def add_sandbox_accounts(
    resources: Resources, tenant_id: UUID, *, each: int = 1, rate_per_second: float | None = None
) -> list[UUID]:
    """So many simulator accounts on each platform."""
    made = []
    async with resources.database.transaction(tenant_id) as tx:
        for platform in (Platform.TELEGRAM, Platform.WHATSAPP):
            for number in range(1, each + 1):
                settings = {} if rate_per_second is None else {"rate_per_second": rate_per_second}
                account = await accounts.create(
                    tx,
                    resources.vault,
                    system_subject(tenant_id),
                    accounts.NewAccount(
                        connector=f"simulator_{platform.value}",
                        platform=platform,
                        name=f"Sandbox {platform.value.capitalize()} {number}",
                        address=f"sandbox-{platform.value}-{number}",
                        settings=settings,
                        labels=("sandbox",),
                    ),
                )
                made.append(account.id)
    return made
