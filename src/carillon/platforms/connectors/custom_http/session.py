"""One channel: each send is one signed POST."""

import orjson

from carillon.kernel.clock import Clock
from carillon.platforms.connectors.errors import (
    AccountError,
    FailureClass,
    NotSent,
    Rejected,
    Uncertain,
)
from carillon.platforms.connectors.port import Accepted, AccountState, Outbound

from .answer import AnswerLost, NotConnected
from .client import PinnedClient
from .net_guard import AddressRefused
from .outcomes import accepted
from .signature import HEADER, signature

_FIELDS = f"Content-Type: application/json\r\nIdempotency-Key: %s\r\n{HEADER}: %s\r\n"


class CustomHttpSession:
    """See `carillon.platforms.connectors.port.Session`."""

    def __init__(self, client: PinnedClient, secret: bytes, *, clock: Clock, max_text: int) -> None:
        """Create the session; `secret` signs every request."""
        self._client = client
        self._secret = secret
        self._clock = clock
        self._max_text = max_text

    async def send(self, message: Outbound) -> Accepted:
        """See `Session.send`."""
        name = str(message.id)
        body = self._body(name, message)
        fields = _FIELDS % (name, signature(self._secret, self._clock.now(), body))
        try:
            answer = await self._client.post(fields.encode("ascii"), body)
        except NotConnected:
            raise NotSent("The server could not be reached; it will be tried again.") from None
        except AnswerLost:
            raise Uncertain("The server did not answer; it may have the message.") from None
        except AddressRefused as error:
            raise AccountError(error.message, state=AccountState.PARKED, platform_code="ADDRESS_REFUSED") from None
        return accepted(answer, now=self._clock.now())

    def _body(self, name: str, message: Outbound) -> bytes:
        """The message as JSON; `key` is text, because JSON readers round integers beyond 53 bits."""
        if len(message.text) > self._max_text:
            text = f"The message is longer than {self._max_text} characters."
            raise Rejected(text, failure=FailureClass.CONTENT, platform_code="TOO_LONG")
        fields = {
            "id": name,
            "key": str(message.key),
            "peer": message.peer,
            "text": message.text,
            "reply_to": message.reply_to,
        }
        try:
            return orjson.dumps(fields)
        except TypeError:
            text = "The message holds characters that cannot be sent."
            raise Rejected(text, failure=FailureClass.CONTENT, platform_code="ENCODING") from None

    async def close(self) -> None:
        """See `Session.close`."""
        await self._client.close()
