"""A tenant with people in it, the whole API of identity, and a clock to turn."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import structlog
from argon2 import PasswordHasher
from fastapi import FastAPI

from carillon.gateway.app import create_app
from carillon.identity.api_keys.manifest import manifest as api_keys_manifest
from carillon.identity.audit.manifest import manifest as audit_manifest
from carillon.identity.auth import api as auth
from carillon.identity.auth import passwords
from carillon.identity.auth.manifest import manifest as auth_manifest
from carillon.identity.roles import api as roles
from carillon.identity.roles.manifest import manifest as roles_manifest
from carillon.identity.tenants import api as tenants
from carillon.identity.tenants.manifest import manifest as tenants_manifest
from carillon.identity.users import api as users
from carillon.identity.users.contracts import NewUser
from carillon.identity.users.manifest import manifest as users_manifest
from carillon.kernel.ids import uuid7
from carillon.kernel.subject import Subject, SubjectKind, system_subject
from carillon.storage.resources import Resources
from tests.fixtures.api import Answer, Client

PASSWORD = "correct horse battery"
# A hash that costs nothing, for everybody; the unit tests use the real one.
HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
PASSWORD_HASH = HASHER.hash(PASSWORD)
_numbers = itertools.count(1)


@dataclass
class TurnedClock:
    """Stands still until it is turned."""

    time: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    seconds: float = 1000.0

    def now(self) -> datetime:
        return self.time

    def boottime(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.turn(seconds=seconds)

    def turn(self, **span: float) -> None:
        by = timedelta(**span)
        self.time += by
        self.seconds += by.total_seconds()


@dataclass(frozen=True)
class Person:
    id: UUID
    email: str


@dataclass
class Browser:
    """A client that keeps its cookie, as a page of our own."""

    client: Client
    cookie: str | None = None

    async def call(self, method: str, path: str, json: Any = None, **options: Any) -> Answer:
        headers = {"sec-fetch-site": "same-origin", "user-agent": "Test/1", **options.pop("headers", {})}
        if self.cookie:
            headers["cookie"] = self.cookie
        answer = await self.client.request(method, f"/api/v1{path}", json=json, headers=headers, **options)
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].split(";")[0]
        return answer

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, json, **options)

    async def login(self, email: str, password: str = PASSWORD, **more: Any) -> Answer:
        return await self.post("/auth/login", {"email": email, "password": password, **more})

    @property
    def token(self) -> str:
        assert self.cookie
        return self.cookie.partition("=")[2]


@dataclass
class Town:
    """One tenant and what tests do in it."""

    resources: Resources
    id: UUID
    slug: str

    async def add(self, role: str = "owner", email: str | None = None) -> Person:
        address = email or f"person{next(_numbers)}-{uuid7().hex[-6:]}@example.org"
        async with self.resources.database.transaction(self.id) as tx:
            user_id = await users.add_user(tx, NewUser(address, "Test Person", PASSWORD_HASH))
            await users.join(tx, self.system, user_id, (await roles.builtin_role(tx, role)).id)
        return Person(user_id, address)

    async def admit(self, person: Person, role: str = "agent") -> None:
        """Make somebody from another tenant a member here too."""
        async with self.resources.database.transaction(self.id) as tx:
            await users.join(tx, self.system, person.id, (await roles.builtin_role(tx, role)).id)

    async def role_id(self, name: str) -> UUID:
        async with self.resources.database.transaction(self.id) as tx:
            return (await roles.builtin_role(tx, name)).id

    @property
    def system(self) -> Subject:
        return system_subject(self.id)

    def subject(self, person: Person, role: str) -> Subject:
        return Subject(self.id, SubjectKind.USER, person.id, roles.BUILTIN_ROLES[role].mask, uuid7())


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_hasher", HASHER)
    monkeypatch.setattr(passwords, "_NOBODY", HASHER.hash("nobody"))


@pytest.fixture(autouse=True)
def log_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines
    # A request that failed inside tells why; nothing here should.
    for line in lines:
        if line["event"] == "unexpected error":
            raise AssertionError("the API failed") from line["exc_info"]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def resources(app_resources: Resources, clock: TurnedClock) -> Resources:
    """The API process's, with the turned clock."""
    return replace(app_resources, clock=clock)


@pytest.fixture
def app(resources: Resources) -> FastAPI:
    manifests = [
        audit_manifest,
        roles_manifest,
        tenants_manifest,
        users_manifest,
        api_keys_manifest,
        auth_manifest,
    ]
    return create_app(manifests, resources, auth.IdentityAuthenticator(resources))


@pytest.fixture
def client(app: FastAPI) -> Client:
    """From an address that no other test uses: counts of attempts outlive tests."""
    number = next(_numbers)
    return Client(app, address=f"198.18.{number // 250}.{number % 250 + 1}")


@pytest.fixture
def browser(client: Client) -> Browser:
    return Browser(client)


async def make_town(resources: Resources, name: str = "Town") -> Town:
    slug = f"t-{uuid7().hex}"
    tenant = await tenants.create_tenant(resources.database, name=name, slug=slug)
    return Town(resources, tenant.id, slug)


@pytest.fixture
async def town(resources: Resources) -> Town:
    return await make_town(resources)


@pytest.fixture
async def other_town(resources: Resources) -> Town:
    return await make_town(resources, "Other town")
