"""Every failure is a problem with a stable code, and none tells internals."""
# ruff: noqa: E501 - a table of cases reads best with one case a line

from typing import Any

import pytest

from tests.fixtures.api import Client, FakeAuthenticator

NOTES = "/api/v1/notes"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code", "place"),
    [
        ("GET", "/api/v1/nothing", {}, 404, "unknown_route", None),
        ("GET", "/nothing", {}, 404, "unknown_route", None),
        ("PUT", NOTES, {"json": {}}, 405, "method_not_allowed", None),
        ("POST", NOTES, {"body": b'{"name": "\xc3\xa9", nope', "headers": JSON}, 400, "malformed_json", "body, byte 15"),
        ("POST", NOTES, {"body": b'{"name": NaN}', "headers": JSON}, 400, "malformed_json", "body, byte 9"),
        ("POST", NOTES, {"body": b'{"name": "\\ud800"}', "headers": JSON}, 400, "malformed_json", None),
        ("POST", NOTES, {"body": b"[" * 5000, "headers": JSON}, 400, "malformed_json", None),
        ("POST", NOTES, {"body": b"[" * 100 + b"]" * 100, "headers": JSON}, 400, "too_deep", None),
        ("POST", NOTES, {"body": b"name=x", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 415, "unsupported_media_type", None),
        ("POST", NOTES, {"body": b'{"name": "x"}'}, 415, "unsupported_media_type", None),
        ("POST", NOTES, {"json": {"name": "a\0b"}}, 400, "forbidden_character", "body.name"),
        ("POST", NOTES, {"json": {"name": "a", "phones": [{"phone": "\x1b"}]}}, 400, "forbidden_character", "body.phones.0.phone"),
        ("GET", NOTES, {"query": {"cursor": "a\0b"}}, 400, "forbidden_character", "query.cursor"),
        ("GET", f"{NOTES}/a\0b", {}, 400, "forbidden_character", "path.note_id"),
        ("GET", NOTES, {"query": {"cursor": "zzzz"}}, 400, "bad_cursor", "query parameter cursor"),
        ("GET", NOTES, {"query": {"limt": "1"}}, 422, "invalid_fields", "query.limt"),
        ("POST", NOTES, {"json": {"name": "a"}, "query": {"dry": "1"}}, 422, "invalid_fields", "query.dry"),
        ("GET", f"{NOTES}/no-id", {}, 422, "invalid_fields", "path.note_id"),
        ("POST", NOTES, {"json": {"name": "a", "phones": [{"phone": "+1"}, {"phone": "x"}]}}, 422, "invalid_fields", "body.phones.1.phone"),
        ("POST", NOTES, {"json": {"name": "a", "extra": 1}}, 422, "invalid_fields", "body.extra"),
        ("POST", NOTES, {}, 422, "invalid_fields", "body"),
        ("POST", NOTES, {"json": {"name": "a", "number": 2**31}}, 400, "invalid_value", None),
        ("POST", NOTES, {"json": {"name": "a", "number": 2**70}}, 422, "invalid_fields", "body.number"),
        ("POST", NOTES, {"body": [b"x" * 600_000, b"x" * 600_000], "headers": JSON}, 413, "body_too_large", None),
        ("POST", NOTES, {"body": b"x" * 1_000_001, "headers": JSON}, 413, "body_too_large", None),
        ("POST", NOTES, {"json": {"name": "conflict"}}, 409, "conflict", "body.name"),
        ("POST", NOTES, {"json": {"name": "bug"}}, 500, "internal_error", None),
        ("GET", f"{NOTES}/0198d4e5-0000-7000-8000-000000000000", {}, 404, "note_missing", None),
        ("POST", NOTES, {"json": {"name": "a"}, "headers": {"idempotency-key": "a b"}}, 400, "bad_idempotency_key", "header Idempotency-Key"),
    ],
)  # fmt: skip
async def test_failures_are_problems(
    client: Client, method: str, path: str, options: dict[str, Any], status: int, code: str, place: str | None
) -> None:
    answer = await client.request(method, path, **options)
    problem = answer.json()
    assert (answer.status, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:carillon:problem:{code}"
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    if place:
        assert problem["place"] == place
    assert "secret detail" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()


async def test_what_our_own_validators_say_is_said_plainly(client: Client) -> None:
    answer = await client.post(NOTES, json={"name": "rude"})
    assert answer.json()["detail"] == "body.name: is not polite"


async def test_every_wrong_field_is_listed(client: Client) -> None:
    wrong = {"name": 5, "number": "x", "phones": [{"phone": "+1"}, {"phone": "0"}, {}]}
    problem = (await client.post(NOTES, wrong)).json()
    assert [fault["place"] for fault in problem["errors"]] == [
        "body.name",
        "body.number",
        "body.phones.1.phone",
        "body.phones.2.phone",
    ]


async def test_methods_of_all_routes_at_an_address_are_allowed(client: Client) -> None:
    assert (await client.request("PATCH", NOTES)).headers["allow"] == "GET, POST"


async def test_data_of_an_error_reaches_the_reader(client: Client) -> None:
    assert (await client.post(NOTES, {"name": "conflict"})).json()["data"] == {"wish": "none"}


async def test_a_unique_violation_is_a_conflict(client: Client) -> None:
    assert (await client.post(NOTES, {"name": "twice"})).status == 201
    answer = await client.post(NOTES, {"name": "twice"})
    assert (answer.status, answer.code) == (409, "already_exists")


async def test_bugs_are_logged_with_their_traceback(client: Client, log_lines: list[Any]) -> None:
    answer = await client.post(NOTES, {"name": "bug"})
    line = next(line for line in log_lines if line["event"] == "unexpected error")
    assert isinstance(line["exc_info"], RuntimeError)
    assert line["request_id"] == answer.json()["request_id"]


async def test_a_database_that_is_gone_is_503(client: Client) -> None:
    resources = client.app.state.resources
    await resources.database.close()
    broken = type(resources.database)("postgresql://nobody@127.0.0.1:1/none")
    object.__setattr__(resources, "database", broken)
    answer = await client.get(NOTES)
    await broken.close()
    assert (answer.status, answer.code) == (503, "database_unreachable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_strangers_are_told_how_to_sign_in(anyone: Client) -> None:
    answer = await anyone.get(NOTES)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_permission_is_checked_before_the_body(
    anyone: Client, authenticator: FakeAuthenticator, tenant: Any
) -> None:
    nobody = anyone.having(authorization=f"Bearer {authenticator.admit(tenant, permissions=0)}")
    answer = await nobody.request("POST", NOTES, body=b"not json at all")
    assert (answer.status, answer.code) == (403, "missing_permission")
    assert answer.json()["data"] == {"permission": "contacts:write"}


async def test_open_routes_have_bounded_bodies(anyone: Client) -> None:
    assert (await anyone.request("POST", "/api/v1/greetings", body=b"x" * 10)).json() == {"greeting": "192.0.2.7 10"}
    assert (await anyone.request("POST", "/api/v1/greetings", body=[b"x" * 600_000] * 2)).status == 413
