"""Who sends this request: the gateway's auth port."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fastapi import Request

from carillon.gateway.addresses import client_address
from carillon.identity.api_keys import api as api_keys
from carillon.identity.audit import api as audit
from carillon.identity.errors import InvalidCredentials
from carillon.identity.tokens import Token, TokenKind, parse_token
from carillon.kernel.errors import Unauthenticated
from carillon.kernel.subject import Subject, SubjectKind
from carillon.storage.database import Tx
from carillon.storage.resources import Resources

from .cookies import read_cookie
from .sessions import Standing, authenticate_session, review_session

REMEMBERED_SECONDS: Final = 3.0
_MOST_REMEMBERED = 10_000
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Remembered:
    standing: Standing
    forget_at: float


class IdentityAuthenticator:
    """Implements `gateway.context.Authenticator` for session cookies and API keys.

    A bearer credential wins over a cookie, also when it is no good: it was sent on purpose, the cookie by habit.

    Good credentials are remembered for 3 seconds, so that a page of many requests asks the database once, and a
    revocation counts within 5 seconds everywhere. The memory's keys are keyed hashes; bad credentials are not kept.
    """

    def __init__(self, resources: Resources) -> None:
        """Create the authenticator of one process."""
        self._resources = resources
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def authenticate(self, request: Request) -> Subject:
        """See `Authenticator.authenticate`: one query at most.

        Raises:
            Unauthenticated: No credential (`unauthenticated`), or one that does not work: `invalid_credentials`,
                `session_expired`, `key_revoked`, `key_expired`, `account_suspended`, `tenant_suspended`.
        """
        settings = self._resources.settings
        request_id = getattr(request.state, "request_id", None)
        audit.set_origin(client_address(request, settings.trusted_proxies), request_id)
        return (await self._stand(self._token(request))).subject

    async def review(self, subject: Subject) -> Subject | None:
        """See `Authenticator.review`: asks the database each time, and does not count as use."""
        if subject.kind is SubjectKind.SYSTEM:
            return subject
        if subject.credential_id is None:
            return None
        now = self._resources.clock.now()
        try:
            async with self._resources.database.transaction(subject.tenant_id) as tx:
                if subject.kind is SubjectKind.API_KEY:
                    return await api_keys.review_key(tx, subject.credential_id, now)
                return (await review_session(tx, subject.credential_id, now)).subject
        except Unauthenticated:
            return None

    def _token(self, request: Request) -> Token:
        header = request.headers.get("authorization")
        if header is not None:
            scheme, _, text = header.partition(" ")
            token = parse_token(text.strip(), TokenKind.API_KEY) if scheme.lower() == "bearer" else None
        else:
            cookie = read_cookie(request, self._resources.settings)
            if not cookie:
                raise Unauthenticated
            token = parse_token(cookie, TokenKind.SESSION)
        if token is None:
            raise InvalidCredentials
        return token

    async def _stand(self, token: Token) -> Standing:
        digest = token.digest(self._resources.vault)
        clock = self._resources.clock
        known = self._remembered.get(digest)
        if known is not None and known.forget_at > clock.boottime() and known.standing.until > clock.now():
            return known.standing
        self._remembered.pop(digest, None)
        # Counted from before the query: what it read may be revoked while it is on its way.
        asked_at = clock.boottime()
        async with self._resources.database.transaction(token.tenant_id) as tx:
            standing = await self._ask(tx, token)
        self._remembered[digest] = _Remembered(standing, asked_at + REMEMBERED_SECONDS)
        self._remembered.move_to_end(digest)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return standing

    async def _ask(self, tx: Tx, token: Token) -> Standing:
        vault, now = self._resources.vault, self._resources.clock.now()
        if token.kind is TokenKind.API_KEY:
            return Standing(await api_keys.authenticate_key(tx, token, vault, now), _NEVER)
        return await authenticate_session(tx, token, vault, now)
