"""What an endpoint is given: the subject, its transaction and the process's resources."""

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request

from carillon.kernel.errors import Forbidden
from carillon.kernel.permissions import Permission
from carillon.kernel.subject import Subject
from carillon.storage.database import Tx
from carillon.storage.resources import Resources


class Authenticator(Protocol):
    """The auth port; `identity` implements it."""

    async def authenticate(self, request: Request) -> Subject:
        """Who shows this cookie or bearer key.

        Raises:
            Unauthenticated: Nobody we know, or no longer.
        """
        ...

    async def review(self, subject: Subject) -> Subject | None:
        """The same credential with its present permissions, or None when it was revoked, expired or disabled.

        Asked every few seconds for each open WebSocket (`subject.credential_id` names the credential), so it
        must be cheap and must not count as use.
        """
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """One request.

    Attributes:
        subject: Who asks; its permission was checked.
        tx: The request's transaction, inside the subject's tenant; it commits before the answer leaves.
        resources: The process's parts.
        request_id: Also in the answer and every log line.
        address: The client's address.
    """

    subject: Subject
    tx: Tx
    resources: Resources
    request_id: str
    address: str


@dataclass(frozen=True, slots=True)
class OpenContext:
    """One request of somebody unknown: sign-in, webhooks. No subject and no transaction.

    Attributes:
        resources: The process's parts.
        request_id: Also in the answer and every log line.
        address: The client's address.
    """

    resources: Resources
    request_id: str
    address: str


class MissingPermission(Forbidden):
    """Your role or API key does not allow this."""

    code = "missing_permission"


def require(subject: Subject, permission: Permission) -> None:
    """Refuse a subject without the permission.

    Raises:
        MissingPermission: The subject lacks it.
    """
    if not subject.may(permission):
        raise MissingPermission(permission=permission.wire)


def allow(permission: Permission) -> Any:
    """Yield the `Context` to subjects that have the permission.

    Used as `context: Annotated[Context, allow(Permission.X)]`.

    Raises:
        MissingPermission: The subject lacks it.
    """

    def check(request: Request) -> Context:
        context: Context = request.state.context
        require(context.subject, permission)
        return context

    check.permission = permission  # type: ignore[attr-defined] # read by the isolation matrix
    return Depends(check)


def _signed_in(request: Request) -> Context:
    context: Context = request.state.context
    return context


SignedIn = Annotated[Context, Depends(_signed_in)]
"""For endpoints that every subject may call, on its own behalf."""


def _open(request: Request) -> OpenContext:
    context: OpenContext = request.state.context
    return context


Anyone = Annotated[OpenContext, Depends(_open)]
"""For endpoints of an `open_router`."""
