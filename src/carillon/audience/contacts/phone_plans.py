"""The short way to E.164: what `phonenumbers` would answer for a plain number, without its general parsing.

It answers only where the metadata shows that the library would strip nothing, or a plain trunk prefix, and gives
None everywhere else. Tests hold its answers equal to the library's.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata

from carillon.kernel.errors import Invalid

MAX_DIGITS = 15
_NON_GEOGRAPHIC = "001"


CODES: dict[str, tuple[str, ...]] = {
    str(code): regions for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()
}


class UnknownRegion(Invalid):
    """There is no such country; use two letters such as CN."""

    code = "unknown_region"


@dataclass(frozen=True, slots=True)
class Phone:
    """A number in E.164 (`+8613800138000`) and its region (ISO 3166-1 alpha-2), None if no region has it."""

    e164: str
    region: str | None


def known_region(region: str | None) -> str | None:
    """Return the region, None for the codes of no country (satellites, toll-free)."""
    return None if region == _NON_GEOGRAPHIC else region


def calling_code(digits: str) -> str | None:
    """Return the country code the digits begin with; no code begins another."""
    for length in (1, 2, 3):
        if digits[:length] in CODES:
            return digits[:length]
    return None


def short_international(number: str) -> Phone | None:
    """Take the short way of a number with a plus, None where the library must look."""
    digits = number[1:]
    code = calling_code(digits)
    if code is None or len(digits) > MAX_DIGITS:
        return None
    plan = _code_plan(code)
    national = digits[len(code) :]
    return Phone(number, plan.region_of(national)) if plan.keeps(national) else None


@dataclass(frozen=True, slots=True)
class _RegionTest:
    """Whether a national number belongs to a region: by its first digits, or by matching the plan."""

    region: str
    leading: re.Pattern[str] | None
    general: re.Pattern[str] | None
    types: tuple[tuple[frozenset[int], re.Pattern[str]], ...]

    def matches(self, national: str) -> bool:
        """Tell as `region_code_for_number` would."""
        if self.leading is not None:
            return self.leading.match(national) is not None
        if self.general is None or self.general.fullmatch(national) is None:
            return False
        size = len(national)
        return any(size in sizes and pattern.fullmatch(national) for sizes, pattern in self.types)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the short way must know of a country code, and of the region whose national numbers it reads.

    Attributes:
        code: The country code.
        lengths: Possible lengths of national numbers.
        tests: The regions that share the code; empty if there is one only.
        only_region: That one.
        strips: Matches numbers of which the library might strip a prefix.
        abroad: Matches numbers that begin with the region's prefix for calls abroad.
        is_plain: What `strips` matches is a prefix and nothing else: no carrier code, no rewriting.
        longest: The greatest possible length; longer numbers must begin with the country code.
        general: The pattern that says whether a number with its trunk prefix is a number by itself.
    """

    code: str
    lengths: frozenset[int]
    tests: tuple[_RegionTest, ...]
    only_region: str | None
    strips: re.Pattern[str] | None
    abroad: re.Pattern[str] | None
    is_plain: bool
    longest: int
    general: re.Pattern[str] | None

    def keeps(self, national: str) -> bool:
        """Tell whether the library would leave the national number as it is and find it possible."""
        return len(national) in self.lengths and (self.strips is None or self.strips.match(national) is None)

    def region_of(self, national: str) -> str | None:
        """Return the region of a national number."""
        if not self.tests:
            return self.only_region
        return next((test.region for test in self.tests if test.matches(national)), None)

    def short(self, number: str) -> Phone | None:
        """Take the short way of a number without plus, None where the library must look."""
        if self.abroad is not None and self.abroad.match(number):
            return None
        if number.startswith(self.code):
            is_whole = len(number) > self.longest and self.keeps(number[len(self.code) :])
            return short_international("+" + number) if is_whole else None
        national = self._without_trunk(number)
        if national is None or len(national) + len(self.code) > MAX_DIGITS:
            return None
        return Phone(f"+{self.code}{national}", self.region_of(national))

    def _without_trunk(self, number: str) -> str | None:
        """Strip a plain trunk prefix, unless the number is one by itself."""
        trunk = self.strips.match(number) if self.strips is not None and self.is_plain else None
        if trunk is None:
            return number if self.keeps(number) else None
        national = number[trunk.end() :]
        is_whole = self.general is not None and self.general.fullmatch(number) is not None
        fits = len(national) in self.lengths and national[0] != "0"
        return national if fits and not is_whole else None


@cache
def _code_plan(code: str) -> Plan:
    regions = CODES[code]
    return _plan(code, PhoneMetadata.metadata_for_region_or_calling_code(int(code), regions[0]))


@lru_cache(maxsize=512)
def region_plan(region: str) -> Plan:
    """Return the plan of a region.

    Raises:
        UnknownRegion: There is none of that name.
    """
    metadata = PhoneMetadata.metadata_for_region(region.upper(), None)
    if metadata is None:
        raise UnknownRegion(region=region[:20])
    return _plan(str(metadata.country_code), metadata)


def _plan(code: str, metadata: Any) -> Plan:
    regions = CODES[code]
    main: Any = PhoneMetadata.metadata_for_region_or_calling_code(int(code), regions[0])
    general: Any = metadata.general_desc
    lengths = frozenset(main.general_desc.possible_length) & frozenset(general.possible_length)
    parsing = metadata.national_prefix_for_parsing
    strips = re.compile(parsing) if parsing else None
    tests = tuple(_region_test(region) for region in regions) if len(regions) > 1 else ()
    return Plan(
        code=code,
        lengths=lengths - set(main.general_desc.possible_length_local_only),
        tests=tests,
        only_region=known_region(regions[0]),
        strips=strips,
        abroad=re.compile(metadata.international_prefix) if metadata.international_prefix else None,
        is_plain=strips is not None and strips.groups == 0 and not metadata.national_prefix_transform_rule,
        longest=max((*general.possible_length, *general.possible_length_local_only)),
        general=_pattern(general),
    )


def _pattern(desc: Any) -> re.Pattern[str] | None:
    return re.compile(desc.national_number_pattern) if desc is not None and desc.national_number_pattern else None


def _region_test(region: str) -> _RegionTest:
    metadata: Any = PhoneMetadata.metadata_for_region(region, None)
    leading = re.compile(metadata.leading_digits) if metadata.leading_digits else None
    kinds = (
        *(metadata.mobile, metadata.fixed_line, metadata.premium_rate, metadata.toll_free, metadata.shared_cost),
        *(metadata.voip, metadata.personal_number, metadata.pager, metadata.uan, metadata.voicemail),
    )
    every_length = frozenset(metadata.general_desc.possible_length)
    types = [
        (frozenset(desc.possible_length) or every_length, pattern)
        for desc in kinds
        if (pattern := _pattern(desc)) is not None
    ]
    return _RegionTest(region, leading, _pattern(metadata.general_desc), tuple(types))
