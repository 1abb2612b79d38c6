"""HTTP of the proxy pool."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from carillon.gateway.context import Context, allow
from carillon.gateway.pages import PageOut, PageQuery
from carillon.gateway.routing import router as make_router
from carillon.kernel.permissions import Permission

from . import api
from .contracts import ProxyFilter, ProxyState
from .schemas import ProxyCountsOut, ProxyIn, ProxyOut, ProxyPatch

Reader = Annotated[Context, allow(Permission.PROXIES_READ)]
Writer = Annotated[Context, allow(Permission.PROXIES_WRITE)]
Needle = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]

router = make_router("/proxies", "proxies")


def _filter(
    state: ProxyState | None = None, region: Needle = None, label: Needle = None, query: Needle = None
) -> ProxyFilter:
    return ProxyFilter(state=state, region=region, label=label, query=query)


Wanted = Annotated[ProxyFilter, Depends(_filter)]


@router.get("", summary="Proxies, newest first")
async def list_proxies(context: Reader, wanted: Wanted, page: PageQuery) -> PageOut[ProxyOut]:
    """With their health and the number of accounts bound to each."""
    found = await api.list_proxies(context.tx, wanted, page)
    return PageOut(items=[ProxyOut.of(proxy) for proxy in found.items], next_cursor=found.next_cursor)


@router.get("/counts", summary="How many proxies are in which state")
async def count_proxies(context: Reader, wanted: Wanted) -> ProxyCountsOut:
    """Under the same filters as the list."""
    states = await api.count(context.tx, wanted)
    return ProxyCountsOut(total=sum(states.values()), states=dict(states))


@router.post("", status_code=201, summary="Add a proxy")
async def create_proxy(context: Writer, body: ProxyIn) -> ProxyOut:
    """It is checked at once and used only once a check went well."""
    return ProxyOut.of(await api.create(context.tx, context.resources.vault, context.subject, body.new()))


@router.get("/{proxy_id}", summary="One proxy")
async def get_proxy(context: Reader, proxy_id: UUID) -> ProxyOut:
    """Its password is never shown."""
    return ProxyOut.of(await api.get(context.tx, proxy_id))


@router.patch("/{proxy_id}", summary="Change a proxy")
async def edit_proxy(context: Writer, proxy_id: UUID, body: ProxyPatch) -> ProxyOut:
    """With another address or credentials it waits for a check before it is used again."""
    changed = await api.edit(context.tx, context.resources.vault, context.subject, proxy_id, body.edit())
    return ProxyOut.of(changed)


@router.delete("/{proxy_id}", status_code=204, summary="Delete a proxy that no account is bound to")
async def delete_proxy(context: Writer, proxy_id: UUID) -> None:
    """Bind its accounts to another one first."""
    await api.remove(context.tx, context.subject, proxy_id)


@router.post("/{proxy_id}/check", status_code=202, summary="Check a proxy now")
async def check_proxy(context: Writer, proxy_id: UUID) -> ProxyOut:
    """The answer is the proxy as it stands; `checked_at` moves when the check is done."""
    proxy = await api.get(context.tx, proxy_id)
    await api.request_check(context.tx, proxy_id)
    return ProxyOut.of(proxy)
