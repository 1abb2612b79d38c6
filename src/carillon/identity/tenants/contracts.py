"""What crosses the boundary of tenants."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer: everything else belongs to one.

    Attributes:
        id: In every row and credential.
        name: For people.
        slug: For addresses and the command line; unique in the installation and never changed.
        time_zone: IANA name; the default of its people and campaigns.
        language: BCP 47; likewise.
        region: ISO 3166-1 alpha-2; how phone numbers without country code are read. None when not chosen.
        suspended_at: Since when nobody can sign in; None while active.
        created_at: When it was made.
        updated_at: When it was last changed.
    """

    id: UUID
    name: str
    slug: str
    time_zone: str
    language: str
    region: str | None
    suspended_at: datetime | None
    created_at: datetime
    updated_at: datetime
