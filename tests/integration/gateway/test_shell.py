"""Request ids, headers, cross-site protection, limits, probes."""

from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from carillon.gateway.app import create_app
from carillon.storage.resources import Resources
from tests.fixtures import toy
from tests.fixtures.api import Client, FakeAuthenticator

NOTES = "/api/v1/notes"


def settle(app: FastAPI, **values: Any) -> None:
    resources = app.state.resources
    for name, value in values.items():
        setattr(resources.settings, name, value)


def again(app: FastAPI) -> FastAPI:
    """The application anew, with settings as they are now."""
    return create_app([toy.manifest], app.state.resources, app.state.admission.authenticator)


@pytest.mark.parametrize(
    ("given", "kept"), [("trace-0123456789", True), ("short", False), ("a" * 129, False), ("evil\tid 12345", False)]
)
async def test_request_ids(anyone: Client, given: str, kept: bool) -> None:
    answer = await anyone.get("/healthz", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) == kept
    assert answer.headers["x-request-id"]


async def test_security_headers_are_on_every_answer(client: Client) -> None:
    for path in (NOTES, "/api/v1/nothing", "/healthz", "/api/v1/docs"):
        headers = (await client.get(path)).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in headers
        assert "access-control-allow-origin" not in headers


async def test_https_is_remembered_by_browsers(app: FastAPI) -> None:
    settle(app, public_url="https://bells.example")
    answer = await Client(again(app)).get("/healthz")
    assert "max-age=31536000" in answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://testserver"}, False),
        ({"origin": "http://testserver"}, True),
        ({"origin": "https://bells.example"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
async def test_a_change_by_cookie_must_come_from_our_pages(
    anyone: Client, authenticator: FakeAuthenticator, tenant: UUID, headers: dict[str, str], allowed: bool
) -> None:
    settle(anyone.app, public_url="https://bells.example")
    person = anyone.having(cookie=f"session={authenticator.admit(tenant)}")
    answer = await person.post(NOTES, {"name": "x"}, headers=headers)
    assert answer.status == (201 if allowed else 403)
    if not allowed:
        assert answer.code == "cross_site"
    assert (await person.get(NOTES, headers=headers)).status == 200


async def test_limits_per_credential(app: FastAPI, authenticator: FakeAuthenticator, tenant: UUID) -> None:
    settle(app, credential_requests_per_minute=2)
    anyone = Client(again(app))
    client = anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")
    answers = [await client.get(NOTES) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert 1 <= int(answers[2].headers["retry-after"]) <= 30
    colleague = anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}")
    assert (await colleague.get(NOTES)).status == 200


async def test_limits_per_tenant(
    app: FastAPI, authenticator: FakeAuthenticator, tenant: UUID, other_tenant: UUID
) -> None:
    settle(app, tenant_requests_per_minute=2)
    anyone = Client(again(app))
    statuses = [
        (await anyone.having(authorization=f"Bearer {authenticator.admit(tenant)}").get(NOTES)).status for _ in range(3)
    ]
    assert statuses == [200, 200, 429]
    foreign = anyone.having(authorization=f"Bearer {authenticator.admit(other_tenant)}")
    assert (await foreign.get(NOTES)).status == 200


async def test_guessing_credentials_is_limited_by_address(app: FastAPI, authenticator: FakeAuthenticator) -> None:
    settle(app, anonymous_requests_per_minute=3)
    anyone = Client(again(app)).having(authorization="Bearer wrong")
    assert [(await anyone.get(NOTES)).status for _ in range(4)] == [401, 401, 401, 429]


async def test_readiness_names_what_is_wrong(anyone: Client, app_resources: Resources) -> None:
    answer = await anyone.get("/readyz")
    assert answer.status == 200
    assert set(answer.json()["checks"]) == {"database", "schema"}

    async def broken() -> None:
        message = "postgresql://user:password@host"
        raise RuntimeError(message)

    anyone.app.state.checks.register("queue", broken)
    answer = await anyone.get("/readyz")
    assert answer.status == 503
    assert answer.json()["checks"]["queue"]["reason"] == "RuntimeError"
    assert answer.json()["checks"]["database"]["ready"]
    assert (await anyone.get("/healthz")).json() == {"alive": True}


async def test_readiness_fails_on_another_schema(anyone: Client, app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carillon.gateway.probes.head", lambda: "9999")
    answer = await Client(again(app)).get("/readyz")
    assert answer.status == 503
    assert "carillon migrate" in answer.json()["checks"]["schema"]["reason"]


async def test_metrics_are_for_this_machine_or_with_a_token(anyone: Client) -> None:
    await anyone.get(f"{NOTES}/0198d4e5-0000-7000-8000-000000000000")
    assert (await anyone.get("/metrics")).status == 404
    local = Client(anyone.app, address="127.0.0.1")
    answer = await local.get("/metrics")
    assert answer.status == 200
    assert 'route="/notes/{note_id}"' in answer.body.decode()
    assert "0198d4e5" not in answer.body.decode()
    assert (await local.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"})).status == 404
    settle(anyone.app, metrics_token=SecretStr("let-me-in"))
    assert (await anyone.get("/metrics", headers={"authorization": "Bearer let-me-in"})).status == 200
    assert (await anyone.get("/metrics", headers={"authorization": "Bearer wrong"})).status == 404


async def test_the_log_line_of_a_request_has_no_query(client: Client, tenant: UUID, log_lines: list[Any]) -> None:
    answer = await client.get(f"{NOTES}?cursor=abc")
    line = next(line for line in log_lines if line["event"] == "request")
    assert "abc" not in str(line)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["tenant"] == str(tenant)
