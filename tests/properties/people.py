"""People as the rules of contact see them, and what may happen to them: the model of the opt-out machine."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from uuid import UUID

from carillon.audience.consents import api as consents
from carillon.audience.consents.contracts import Action, Actor, ConsentEntry
from carillon.audience.contacts import api as contacts
from carillon.audience.contacts.contracts import Address, AddressKind, Details
from carillon.kernel.subject import system_subject
from carillon.platforms.connectors.port import InboundMessage
from carillon.platforms.delivery.contracts import MessageKind
from carillon.storage.resources import Resources
from tests.fixtures.database import VAULT

from . import door
from .world import now

_numbers = count(1)


@dataclass
class Person:
    """Somebody.

    Attributes:
        address: Where they are written to.
        others: Further addresses that are theirs.
        statements: When they said something of marketing, and until when they agreed; None: not any more.
        wrote: They wrote to us, ever.
        gone: Erased, or merged into somebody else.
    """

    id: UUID
    address: str
    others: list[str] = field(default_factory=list)
    statements: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    out: bool = False
    wrote: bool = False
    gone: bool = False

    @property
    def addresses(self) -> set[str]:
        return {self.address, *self.others}

    def may_get(self, kind: MessageKind, peer: str, at: datetime) -> bool:
        """All the rules there are."""
        agreed_until = max(self.statements)[1] if self.statements else None
        agreed = agreed_until is not None and agreed_until > at
        if self.gone:
            return False
        if kind is MessageKind.CONFIRMATION:
            return self.out or self.wrote or agreed
        if self.out:
            return False
        return agreed and peer in self.addresses if kind is MessageKind.CAMPAIGN else self.wrote or agreed


@dataclass(frozen=True)
class Change:
    """Something that happens to people.

    Attributes:
        work: The real thing, in a transaction.
        after: The same to the model, once it has committed.
        confirms: Whose opt-out is to be confirmed, if it is new.
    """

    work: Callable[[door.Tx], Awaitable[None]]
    after: Callable[[], None]
    confirms: Person | None = None


def fresh_address() -> str:
    return str(7_000_000_000 + next(_numbers))


def at_address(address: str) -> Details:
    return Details(addresses=(Address(AddressKind.TELEGRAM_ID, address),), given=frozenset({"addresses"}))


class Town:
    """The people of a tenant, and the addresses that must not be written to."""

    def __init__(self, tenant: UUID, resources: Resources) -> None:
        self.people: list[Person] = []
        self.blocked: set[str] = set()
        self._resources = resources
        self._subject = system_subject(tenant)

    @property
    def living(self) -> list[Person]:
        return [person for person in self.people if not person.gone]

    @property
    def orphaned(self) -> list[str]:
        """Blocked addresses that are nobody's."""
        return sorted(self.blocked - {address for person in self.living for address in person.addresses})

    async def settles(self, tx: door.Tx, address: str) -> Person:
        """A new person."""
        created = await contacts.create(tx, at_address(address), vault=VAULT)
        return Person(created.id, address, out=address in self.blocked)

    def says(self, person: Person, until: datetime | None) -> Change:
        """They agree until then, or take back that they agreed."""
        at = now()
        action = Action.GRANTED if until else Action.WITHDRAWN

        async def say(tx: door.Tx) -> None:
            statement = ConsentEntry(
                person.id, "marketing", action, "form", at, Actor("contact"), proof="form", expires_at=until
            )
            await consents.record(tx, statement)

        return Change(say, lambda: person.statements.append((at, until)))

    def writes(self, person: Person, text: str, account: UUID) -> Change:
        """They write; STOP and START are heard."""
        was_out, update = person.out, _message(person.address, text)

        async def write(tx: door.Tx) -> None:
            await door.receive(tx, self._resources, account, update)

        def written() -> None:
            person.wrote = True
            if text == "STOP":
                self._goes_out(person)
            elif text == "START" and was_out:
                person.out = False
                self.blocked -= person.addresses

        return Change(write, written, person if text == "STOP" and not was_out else None)

    def _goes_out(self, person: Person) -> None:
        person.out = True
        self.blocked |= person.addresses

    def is_opted_out(self, person: Person) -> Change:
        """An operator hears it by telephone."""

        async def opt_out(tx: door.Tx) -> None:
            await consents.opt_out(tx, VAULT, person.id, source="operator", proof="a call", at=now())

        return Change(opt_out, lambda: self._goes_out(person))

    def is_blocked(self, person: Person) -> Change:
        """One of their addresses comes on the list of those never written to."""

        async def block(tx: door.Tx) -> None:
            address = (AddressKind.TELEGRAM_ID.value, person.address)
            subject = self._subject
            await consents.suppress_addresses(tx, VAULT, [address], reason="listed", source="operator", subject=subject)

        return Change(block, lambda: self._goes_out(person))

    def merges(self, winner: Person, loser: Person) -> Change:
        """The loser turns out to be the winner; who of them opted out, both have."""

        async def merge(tx: door.Tx) -> None:
            await contacts.merge(tx, self._subject, winner_id=winner.id, loser_id=loser.id)

        def merged() -> None:
            winner.statements += loser.statements
            winner.out |= loser.out
            winner.wrote |= loser.wrote
            winner.others += sorted(loser.addresses)
            loser.gone = True

        return Change(merge, merged)

    def is_erased(self, person: Person) -> Change:
        """Nothing is kept of them but that they must not be written to."""

        async def erase(tx: door.Tx) -> None:
            await contacts.erase_person(tx, self._subject, person.id, confirm=person.id, vault=VAULT)

        def erased() -> None:
            person.gone = True
            self.blocked |= person.addresses

        return Change(erase, erased)

    def moves(self, person: Person, *, hand_over: bool) -> Change:
        """They get a new number; the old one may be somebody else's at once, who then is what its list says."""
        address, before, heirs = fresh_address(), person.address, list[Person]()

        async def move(tx: door.Tx) -> None:
            await contacts.update(tx, person.id, at_address(address), vault=VAULT)
            if hand_over:
                heirs.append(await self.settles(tx, before))

        def moved() -> None:
            person.address, person.others = address, []
            self.people.extend(heirs)

        return Change(move, moved)


def _message(sender: str, text: str) -> InboundMessage:
    return InboundMessage(sender, sender, f"in-{next(_numbers)}", text, now())
