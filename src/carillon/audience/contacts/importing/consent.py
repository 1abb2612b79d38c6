"""What the rows of a file say about consent, as entries of the ledger. Pure.

Default deny: without proof and date a grant is worth nothing, and no import ever lifts an opt-out or a withdrawal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from carillon.audience.consents.api import project
from carillon.audience.consents.contracts import Action, Actor, ConsentEntry

from .options import ConsentRule
from .person import Person

_REMEMBERED = 10_000


@dataclass(slots=True)
class ConsentReader:
    """Turns persons into ledger entries; made once for an import.

    Attributes:
        rule: None when nobody agreed to anything.
        now: When the entries are recorded.
    """

    rule: ConsentRule | None
    actor: Actor
    now: datetime
    _projections: dict[Any, str] = field(default_factory=dict)

    def grants(self, person: Person, contact_id: UUID) -> list[ConsentEntry]:
        """What the person granted; empty when nothing, or when nobody knows when."""
        rule = self.rule
        if rule is None or not (person.consent or (rule.everyone and person.consent is None)):
            return []
        at = person.consent_at or rule.at
        if at is None:
            return []
        return [
            ConsentEntry(
                contact_id,
                rule.purpose,
                Action.GRANTED,
                person.consent_source or rule.source,
                at,
                self.actor,
                platform,
                person.consent_proof or rule.proof,
                rule.text_version,
                person.consent_expires_at or rule.until,
            )
            for platform in rule.platforms
        ]

    def projection(self, entries: list[ConsentEntry]) -> str:
        """`contact.consents` of a new contact, as JSON; most files repeat a few dates, so it is remembered."""
        if not entries:
            return "{}"
        first = entries[0]
        key = (first.at, first.expires_at, bool(first.proof))
        known = self._projections.get(key)
        if known is None:
            if len(self._projections) > _REMEMBERED:
                self._projections.clear()
            known = self._projections[key] = orjson.dumps(project(entries, self.now)).decode()
        return known

    def is_sendable(self, entries: list[ConsentEntry]) -> bool:
        """Whether they allow sending now."""
        if not entries:
            return False
        first = entries[0]
        return bool(first.proof) and (first.expires_at is None or first.expires_at > self.now)

    def withdrew(self, consents: Mapping[str, Any]) -> bool:
        """Whether a known person took a consent of this purpose back: no file gives it again."""
        said = consents.get(self.rule.purpose, {}) if self.rule else {}
        return any(entry.get("status") == Action.WITHDRAWN for entry in said.values())
