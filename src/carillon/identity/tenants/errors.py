"""What tenants can complain about.

CarillonError
├── NotFound  TenantNotFound
├── Invalid   SlugInvalid · TimeZoneUnknown · LanguageInvalid · RegionUnknown
└── Conflict  SlugTaken
"""

from carillon.kernel.errors import Conflict, Invalid, NotFound


class TenantNotFound(NotFound):
    """There is no such tenant."""

    code = "tenant_not_found"


class SlugInvalid(Invalid):
    """A slug has 2 to 63 small letters, digits and inner hyphens, and is not a reserved word."""

    code = "slug_invalid"


class TimeZoneUnknown(Invalid):
    """A time zone is a name like `Asia/Shanghai` (IANA)."""

    code = "time_zone_unknown"


class LanguageInvalid(Invalid):
    """A language is a tag like `en` or `zh-CN` (BCP 47)."""

    code = "language_invalid"


class RegionUnknown(Invalid):
    """A region is a country code of two capital letters, like `DE` (ISO 3166-1)."""

    code = "region_unknown"


class SlugTaken(Conflict):
    """Another tenant has this slug."""

    code = "slug_taken"
