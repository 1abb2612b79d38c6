"""`Idempotency-Key`: a repeated change is answered again instead of being done again.

The key's row is the first write of the request's own transaction and the answer its last, so they exist exactly
when the change does: a crash at any moment leaves either all of it or nothing. A second request with the same key
waits on the unique index until the first has committed (then it gets that answer) or rolled back (then it runs).
Only what committed is kept; an error rolled everything back, so its repetition is tried anew.

Answers may hold people's data or a secret that is shown once, so they are stored encrypted.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import orjson
from fastapi import Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources
from carillon.storage.vault import SecretUnreadable, Vault

from .errors import BadIdempotencyKey, IdempotencyAnswerLost, IdempotencyInProgress, IdempotencyKeyReused

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT: Final = timedelta(days=30)
_LONGEST = 255
_WAIT = "15s"
_LOCK_NOT_AVAILABLE = "55P03"
# These describe one transfer, not the outcome.
_NOT_KEPT = frozenset({"content-length", "date", "set-cookie", "transfer-encoding"})

_CLAIM = """
INSERT INTO gateway.idempotency (tenant_id, key, fingerprint) VALUES (:tenant, :key, :fingerprint)
ON CONFLICT DO NOTHING RETURNING true
"""
_FIND = "SELECT fingerprint, status, headers, body FROM gateway.idempotency WHERE tenant_id = :tenant AND key = :key"
_KEEP = """
UPDATE gateway.idempotency SET status = :status, headers = CAST(:headers AS jsonb), body = :body
WHERE tenant_id = :tenant AND key = :key
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key and what it stands for; the hash covers everything that decides the outcome, and who asks."""

    key: str
    fingerprint: bytes

    @property
    def place(self) -> UUID:
        """What its stored answer is bound to."""
        return UUID(bytes=hashlib.sha256(self.key.encode()).digest()[:16])


def read_claim(request: Request, subject: Subject, body: bytes) -> Claim | None:
    """The request's key, or None if it has none or changes nothing.

    Raises:
        BadIdempotencyKey: It is empty, too long or has strange characters.
    """
    key = request.headers.get(HEADER)
    if key is None or request.method in {"GET", "HEAD", "OPTIONS"}:
        return None
    if not 0 < len(key) <= _LONGEST or not all("!" <= letter <= "~" for letter in key):
        raise BadIdempotencyKey
    digest = hashlib.sha256()
    parts = (request.method, request.url.path, request.url.query, f"{subject.kind} {subject.id}")
    for part in (*(text.encode() for text in parts), body):
        digest.update(len(part).to_bytes(8) + part)
    return Claim(key, digest.digest())


async def claim(tx: Tx, wanted: Claim, vault: Vault) -> Response | None:
    """Take the key for this transaction, or return the answer its first use got.

    Raises:
        IdempotencyKeyReused: It was used for something else, or by somebody else.
        IdempotencyInProgress: Its first use takes more than 15 seconds.
        IdempotencyAnswerLost: The vault has another key by now.
    """
    params = {"tenant": tx.tenant, "key": wanted.key, "fingerprint": wanted.fingerprint}
    await tx.execute("SELECT set_config('lock_timeout', :wait, true)", {"wait": _WAIT})
    try:
        taken = await tx.scalar(_CLAIM, params)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            raise IdempotencyInProgress from error
        raise
    await tx.execute("SET LOCAL lock_timeout TO DEFAULT")
    if taken:
        return None
    row = await tx.first(_FIND, params)
    if row is None:
        # Purged, or rolled back between the two statements.
        raise IdempotencyInProgress
    if bytes(row["fingerprint"]) != wanted.fingerprint:
        raise IdempotencyKeyReused
    try:
        body = vault.open(bytes(row["body"]), tenant_id=tx.tenant, account_id=wanted.place, version=0)
    except SecretUnreadable as error:
        raise IdempotencyAnswerLost from error
    return Response(body, row["status"], {**row["headers"], REPLAYED: "true"})


async def keep(tx: Tx, wanted: Claim, response: Response, vault: Vault) -> None:
    """Store the answer in the transaction that did the work; a streamed body is not kept, only its status."""
    body = bytes(getattr(response, "body", b""))
    headers = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
    await tx.execute(
        _KEEP,
        {
            "tenant": tx.tenant,
            "key": wanted.key,
            "status": response.status_code,
            "headers": orjson.dumps(headers).decode(),
            "body": vault.seal(body, tenant_id=tx.tenant, account_id=wanted.place, version=0),
        },
    )


async def purge(resources: Resources) -> int:
    """Forget keys older than 30 days, of all tenants; returns how many."""
    async with resources.database.across_tenants() as tx:
        result = await tx.execute(
            "DELETE FROM gateway.idempotency WHERE created_at < :before",
            {"before": resources.clock.now() - KEPT},
        )
        return result.rowcount
