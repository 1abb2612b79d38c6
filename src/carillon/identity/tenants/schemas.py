"""HTTP forms of tenants."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from carillon.identity.forms import ShownName

from .contracts import Tenant


class TenantOut(BaseModel):
    """A tenant."""

    model_config = ConfigDict(extra="forbid")

    id: UUID
    name: str
    slug: str
    time_zone: str = Field(description="IANA name")
    language: str = Field(description="BCP 47 tag")
    region: str | None = Field(description="ISO 3166-1 code by which phone numbers are read")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, tenant: Tenant) -> "TenantOut":
        """From the contract."""
        return cls(
            id=tenant.id,
            name=tenant.name,
            slug=tenant.slug,
            time_zone=tenant.time_zone,
            language=tenant.language,
            region=tenant.region,
            created_at=tenant.created_at,
            updated_at=tenant.updated_at,
        )


class TenantSettings(BaseModel):
    """All settings of a tenant."""

    model_config = ConfigDict(extra="forbid")

    name: ShownName
    time_zone: Annotated[str, Field(max_length=64)]
    language: Annotated[str, Field(max_length=35)]
    region: Annotated[str, Field(max_length=2)] | None = None
