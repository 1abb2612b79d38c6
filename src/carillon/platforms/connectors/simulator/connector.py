"""The simulated platform behind the connector port."""

from random import Random

from carillon.kernel.clock import Clock, SystemClock
from carillon.platforms.connectors.port import (
    AccountConfig,
    Capabilities,
    Limits,
    Platform,
    UpdateSink,
)

from .limits import LIMITS, lowered
from .protocol import MAX_TEXT
from .session import SimulatorSession


class SimulatorConnector:
    """See `carillon.platforms.connectors.port.Connector`."""

    def __init__(
        self,
        address: str,
        platform: Platform,
        *,
        limits: Limits | None = None,
        clock: Clock | None = None,
        jitter: Random | None = None,
        answer_seconds: float = 45.0,
    ) -> None:
        """Create the connector.

        Args:
            address: Where the simulator listens, as host:port.
            platform: TELEGRAM de-duplicates by key, WHATSAPP does not.
            limits: Other limits than the real platform's, for load tests.
            clock: Times the back-off.
            jitter: Spreads it.
            answer_seconds: How long a send waits before its outcome counts as unknown.
        """
        self.name = f"simulator_{platform.value}"
        self.capabilities = Capabilities(
            deduplicates=platform is Platform.TELEGRAM, supports_proxy=True, max_text=MAX_TEXT
        )
        self._address = address
        self._limits = limits or LIMITS[platform]
        self._clock = clock or SystemClock()
        self._jitter = jitter or Random()  # noqa: S311 - spreads reconnects, guards nothing
        self._answer_seconds = answer_seconds

    def limits(self, account: AccountConfig) -> Limits:
        """See `Connector.limits`; the account's `rate_per_second` and `daily_unique` lower them."""
        return lowered(self._limits, account.settings)

    async def open(self, account: AccountConfig, sink: UpdateSink) -> SimulatorSession:
        """See `Connector.open`; while the platform cannot be reached the session tries on by itself."""
        session = SimulatorSession(
            self._address,
            account,
            sink,
            clock=self._clock,
            jitter=self._jitter,
            answer_seconds=self._answer_seconds,
        )
        await session.start()
        return session
