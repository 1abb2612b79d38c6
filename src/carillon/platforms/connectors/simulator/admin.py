"""The simulator's controls for tests and demos, over a connection of their own."""

from types import TracebackType
from typing import Any, Self

from .client import Wire, connect
from .protocol import Frame


class SimulatorAdmin:
    """Use as `async with SimulatorAdmin(address) as admin`."""

    def __init__(self, address: str) -> None:
        """Create it for the simulator at host:port."""
        self._address = address
        self._open: Wire | None = None

    async def __aenter__(self) -> Self:
        self._open = await connect(self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.abort()
        await self._wire.lost.wait()

    @property
    def _wire(self) -> Wire:
        assert self._open is not None, "enter the context first"
        return self._open

    async def ledger(self) -> tuple[Frame, list[Frame]]:
        """The counters, and every accepted message as {message_id, platform_id, account, peer, text, ...}."""
        return await self._wire.request_parts("ledger")

    async def inject(self, platform: str, account: str, chat: str, text: str, *, stop: bool = False) -> str:
        """Let someone write to an account; returns the message's platform id."""
        names = {"platform": platform, "account": account}
        answer = await self._wire.request("inject", **names, chat=chat, text=text, stop=stop)
        return str(answer["platform_id"])

    async def fault(self, **switches: Any) -> Frame:
        """Break something, or mend it: see `admin_frames.Faults`, and `drop_sessions=True`."""
        return await self._wire.request("fault", **switches)

    async def quiesce(self) -> tuple[int, int]:
        """How many updates are still to come, and how many are not confirmed."""
        answer = await self._wire.request("quiesce")
        return answer["pending"], answer["unacked"]

    async def revive(self, platform: str, account: str) -> None:
        """Let a banned, restricted or signed-out account work again."""
        await self._wire.request("revive", platform=platform, account=account)

    async def sanction(self, platform: str, account: str, state: str, code: str) -> None:
        """Ban or restrict an account, or destroy its session: `banned`, `restricted`, `signed_out`."""
        await self._wire.request("sanction", platform=platform, account=account, state=state, code=code)

    async def flood(self, platform: str, account: str, seconds: float) -> None:
        """Ask an account to wait from now on; 0 ends it."""
        await self._wire.request("flood", platform=platform, account=account, seconds=float(seconds))
