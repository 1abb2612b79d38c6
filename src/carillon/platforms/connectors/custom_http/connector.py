"""The tenant's own HTTP channel behind the connector port."""

from collections.abc import Mapping, Sequence

from carillon.kernel.clock import Clock, SystemClock
from carillon.platforms.connectors.errors import AccountError
from carillon.platforms.connectors.port import (
    AccountConfig,
    AccountState,
    AccountUpdate,
    Capabilities,
    Limits,
    Update,
    UpdateSink,
)

from .client import PinnedClient
from .dialing import PROXY_TYPES, Trust
from .inbound import parse
from .limits import limits_for
from .net_guard import AddressRefused, NetGuard
from .session import CustomHttpSession
from .signature import is_signed


class CustomHttpConnector:
    """See `carillon.platforms.connectors.port.Connector` and `WebhookReceiver`.

    The account's settings: `url`, where messages are posted, and `rate_per_second`. Its secret signs both ways.
    """

    def __init__(
        self,
        guard: NetGuard | None = None,
        *,
        deduplicates: bool = False,
        clock: Clock | None = None,
        connect_seconds: float = 5.0,
        answer_seconds: float = 30.0,
        root_certificates: bytes | None = None,
    ) -> None:
        """Create the connector.

        Args:
            guard: Where URLs may lead; by default only to the public internet.
            deduplicates: The servers promise to honour `Idempotency-Key`. What a connector can do is fixed, so
                the promise makes another connector, `custom_http_idempotent`.
            clock: Dates signatures and judges theirs.
            connect_seconds: Time to resolve, and again to connect.
            answer_seconds: Time for a whole request.
            root_certificates: PEM certificates that are trusted besides the system's.
        """
        self.name = "custom_http_idempotent" if deduplicates else "custom_http"
        self.capabilities = Capabilities(deduplicates=deduplicates, supports_proxy=True)
        self._guard = guard or NetGuard()
        self._clock = clock or SystemClock()
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._trust = Trust(root_certificates)

    def limits(self, account: AccountConfig) -> Limits:
        """See `Connector.limits`."""
        return limits_for(account.settings)

    async def open(self, account: AccountConfig, sink: UpdateSink) -> CustomHttpSession:
        """See `Connector.open`; nothing is connected before the first message."""
        url = account.settings.get("url")
        if not isinstance(url, str) or not account.secret:
            reason = "The channel needs a URL and a secret."
            raise AccountError(reason, state=AccountState.PARKED, platform_code="SETTINGS")
        if account.proxy is not None and account.proxy.scheme not in PROXY_TYPES:
            reason = "The channel cannot speak to this kind of proxy."
            raise AccountError(reason, state=AccountState.PARKED, platform_code="PROXY")
        try:
            address = self._guard.read(url)
        except AddressRefused as error:
            reason = error.message
            raise AccountError(reason, state=AccountState.PARKED, platform_code="ADDRESS_REFUSED") from None
        client = PinnedClient(
            self._guard,
            address,
            clock=self._clock,
            connect_seconds=self._connect_seconds,
            answer_seconds=self._answer_seconds,
            trust=self._trust,
            proxy=account.proxy,
        )
        ready = AccountUpdate(state=AccountState.ONLINE, reason="Ready to send.", at=self._clock.now())
        await sink.accept([ready])
        return CustomHttpSession(client, account.secret, clock=self._clock, max_text=self.capabilities.max_text)

    def verify_webhook(self, account: AccountConfig, headers: Mapping[str, str], body: bytes) -> bool:
        """See `WebhookReceiver.verify_webhook`; without a secret nothing is genuine."""
        return bool(account.secret) and is_signed(account.secret or b"", headers, body, now=self._clock.now())

    def parse_webhook(
        self,
        account: AccountConfig,  # noqa: ARG002 - the port's signature
        headers: Mapping[str, str],  # noqa: ARG002
        body: bytes,
    ) -> Sequence[Update]:
        """See `WebhookReceiver.parse_webhook`."""
        return parse(body)
