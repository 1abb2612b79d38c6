"""A corpus of lines: what must never be logged, and what must stay readable."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from carillon.ops import logs
from carillon.ops.redaction import HIDDEN, is_secret_name, redact, redact_text

SECRETS = {
    "our key": ("used ck_live_8fJ2kQ9xLmNp3RtV today", "8fJ2kQ9xLmNp3RtV"),
    "our session": ("cs_01a209f0ec3d73f3981e9ab7", "01a209f0ec3d73f3981e9ab7"),
    "bearer": ("Authorization: Bearer abcdefGHIJ123", "abcdefGHIJ123"),
    "basic": ("header basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    "database": ("postgresql://carillon:hunter2@10.0.0.1:5432/db", "hunter2"),
    "proxy": ("socks5://user:p%40ss@proxy.example:1080", "p%40ss"),
    "bot token": ("https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1/getMe", "AAHdqTcvCH1"),
    "query": ("GET /ws?ticket=abc.def-123&since=4", "abc.def-123"),
    "assignment": ('password = "correct horse"', "correct horse"),
    "json": ('{"api_key": "xyz", "a": 1}', "xyz"),
    "json web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJzdWIiOiIxIn0"),
    "telethon session": ("loaded 1BVtsOKkBu3g7" + "aB3dE5gH7" * 20, "aB3dE5gH7aB3dE5gH7"),
    "provider": ("key sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop1234"),
    "meta": ("access_token=EAAGm0PX4ZCpsBA", "EAAGm0PX4ZCpsBA"),
}
PLAIN = [
    "campaign 01a209f0-ec3d-73f3-981e-9ab7c04cd8a5 started with 4200 messages",
    "GET /api/v1/contacts 200 in 12 ms",
    "https://example.com/path?page=2",
    "commit 356a192b7913b04c54574d18c28d46e6395428ab",
    "2026-11-23T19:44:46.123456Z",
    "错误: 没有找到联系人",
    "token expired",
]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_in_texts_are_hidden(name: str) -> None:
    text, secret = SECRETS[name]
    assert secret in text
    assert secret not in redact_text(text)
    assert HIDDEN in redact_text(text)


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("sent to +49 170 1234567", "sent to +49…67"),
        ("sent to +8613812345678.", "sent to +86…78."),
        ("1+1 and C++11 and +5", "1+1 and C++11 and +5"),
    ],
)
def test_phones_are_masked(text: str, masked: str) -> None:
    assert redact_text(text) == masked


@pytest.mark.parametrize(
    "name",
    ["password", "new_password", "X-Api-Key", "apiKey", "smsCode", "login_code", "code", "key", "session", "Cookie",
     "Set-Cookie", "totp", "totp_secret", "Authorization", "refresh_token", "vaultKey", "two_factor_pin", "ticket"],
)  # fmt: skip
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["session_id", "status_code", "keyboard", "decoded", "author", "encoding", "monkey", "credential_id", "tokens"],
)
def test_harmless_names(name: str) -> None:
    assert not is_secret_name(name)


def test_containers_are_searched() -> None:
    found = redact(
        {"user": {"name": "A", "password": "x"}, "list": ["bearer abcdefgh1", {"token": 5}], "blob": b"xx", "n": 3}
    )
    assert found == {
        "user": {"name": "A", "password": HIDDEN},
        "list": [f"bearer {HIDDEN}", {"token": HIDDEN}],
        "blob": "[2 bytes]",
        "n": 3,
    }
    assert redact("contact_missing", "code") == "contact_missing"
    assert redact("48213", "code") == HIDDEN
    assert redact("491701234567", "peer") == "+49…67"


@pytest.fixture
def configured(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    logs.configure("info", "json")
    (ours,) = root.handlers
    yield
    # Only ours: pytest puts its own there for each phase, and takes them away itself.
    root.removeHandler(ours)
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("configured")
def test_lines_are_json_with_context_and_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1", tenant="t-1")
    structlog.get_logger("carillon.x").info("hello", password="hunter2", phone="+491701234567")
    structlog.contextvars.clear_contextvars()
    (line,) = lines(capsys)
    assert line["event"] == "hello"
    assert (line["request_id"], line["tenant"], line["level"], line["logger"]) == ("r-1", "t-1", "info", "carillon.x")
    assert (line["password"], line["phone"]) == (HIDDEN, "+49…67")


@pytest.mark.usefixtures("configured")
def test_libraries_and_tracebacks_go_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    secret_local = "ck_live_abcdefghijkl"
    try:
        message = f"cannot reach postgresql://u:hunter2@h/{len(secret_local)}"
        raise RuntimeError(message)  # noqa: TRY301 - its traceback is the point
    except RuntimeError:
        logging.getLogger("sqlalchemy.pool").exception("failed for %s", "bearer abcdefgh12345")
        structlog.get_logger("x").error("failed too", exc_info=True)
    library, own = lines(capsys)
    for line in (library, own):
        assert "RuntimeError" in line["exception"]
        assert "hunter2" not in json.dumps(line)
        assert secret_local not in json.dumps(line)
    assert "abcdefgh12345" not in library["event"]


@pytest.mark.usefixtures("configured")
def test_levels_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("x").debug("no")
    logging.getLogger("some.library").debug("no")
    assert lines(capsys) == []
