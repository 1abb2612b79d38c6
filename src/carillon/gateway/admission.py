"""What stands before every authenticated endpoint: who is it, may it, and is it not too often."""

from dataclasses import dataclass

from fastapi import Request

from carillon.kernel.errors import Throttled, Unauthenticated
from carillon.kernel.subject import Subject
from carillon.storage.resources import Resources

from .addresses import client_address
from .context import Authenticator
from .crossing import check_site
from .limits import Limiter, Rate, Standing


@dataclass(frozen=True, slots=True)
class Admission:
    """The doorkeeper of one application.

    Attributes:
        authenticator: The auth port.
        credentials: Counts each session's and key's requests.
        tenants: Counts each tenant's.
        strangers: Counts failed authentications by address; sign-in counts its attempts here too.
    """

    authenticator: Authenticator
    credentials: Limiter
    tenants: Limiter
    strangers: Limiter

    async def admit(self, request: Request, resources: Resources) -> Subject:
        """Who asks, if it may go on; leaves where it stands in `request.state.standing`.

        Raises:
            CrossSite: Another site's page asks with a person's cookie.
            Unauthenticated: Nobody we know.
            Throttled: Too many requests of this credential, its tenant, or bad ones of this address.
        """
        check_site(request, resources.settings)
        try:
            subject = await self.authenticator.authenticate(request)
        except Unauthenticated:
            self.strangers.spend(client_address(request, resources.settings.trusted_proxies))
            raise
        standing = self._count(subject)
        request.state.standing = standing
        if standing.retry_after:
            raise Throttled(retry_after=standing.retry_after)
        return subject

    def _count(self, subject: Subject) -> Standing:
        own = self.credentials.try_spend(str(subject.credential_id or subject.id))
        if own.retry_after:
            return own
        shared = self.tenants.try_spend(str(subject.tenant_id))
        # Report whichever is nearer to its end.
        if shared.retry_after or not own.limit or (shared.limit and shared.remaining < own.remaining):
            return shared
        return own


def make_admission(authenticator: Authenticator, resources: Resources) -> Admission:
    """The doorkeeper with the limits of the settings."""
    settings, now = resources.settings, resources.clock.boottime
    return Admission(
        authenticator,
        Limiter(Rate(settings.credential_requests_per_minute), now),
        Limiter(Rate(settings.tenant_requests_per_minute), now),
        Limiter(Rate(settings.anonymous_requests_per_minute), now),
    )
