"""Notices reach a real SMTP conversation, or the log."""

import asyncio
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from carillon.ops.notices import LogNotifier, MailNotifier, Notice, make_notifier
from carillon.ops.settings import Settings


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: list[str]) -> None:
    """The least SMTP server."""
    writer.write(b"220 test\r\n")
    data = False
    while line := (await reader.readline()).decode():
        seen.append(line.rstrip("\r\n"))
        if data:
            if line != ".\r\n":
                continue
            data = False
            writer.write(b"250 taken\r\n")
        elif line.upper().startswith("DATA"):
            data = True
            writer.write(b"354 go\r\n")
        elif line.upper().startswith("QUIT"):
            writer.write(b"221 bye\r\n")
            break
        else:
            writer.write(b"250 ok\r\n")
    await writer.drain()
    writer.close()


async def test_a_notice_is_mailed() -> None:
    seen: list[str] = []
    server = await asyncio.start_server(lambda r, w: converse(r, w, seen), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    notifier = MailNotifier(f"smtp://127.0.0.1:{port}", "bells@example.com", ("ops@example.com",))
    with structlog.testing.capture_logs() as lines:
        await notifier.notify(Notice("Disk full\r\nBcc: evil@example.com", "use key ck_live_abcdefghijkl"))
    server.close()
    await server.wait_closed()
    assert any(line.startswith("rcpt TO:<ops@example.com>") for line in seen)
    assert "Subject: [Carillon] Disk full Bcc: evil@example.com" in seen
    assert "ck_live_abcdefghijkl" not in "\n".join(seen)
    assert [line["event"] for line in lines] == ["notice"]


async def test_a_dead_mail_server_is_logged() -> None:
    notifier = MailNotifier("smtp://127.0.0.1:1", "a@example.com", ("b@example.com",))
    with structlog.testing.capture_logs() as lines:
        await notifier.notify(Notice("x", "y", urgent=True))
    assert [line["event"] for line in lines] == ["notice", "a notice could not be mailed"]


async def test_passwords_are_not_sent_in_the_clear() -> None:
    seen: list[str] = []
    server = await asyncio.start_server(lambda r, w: converse(r, w, seen), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    notifier = MailNotifier(f"smtp://u:hunter2@127.0.0.1:{port}", "a@example.com", ("b@example.com",))
    with structlog.testing.capture_logs() as lines:
        await notifier.notify(Notice("x", "y"))
    server.close()
    await server.wait_closed()
    assert not any("AUTH" in line.upper() for line in seen)
    assert lines[-1]["event"] == "a notice could not be mailed"
    assert "hunter2" not in repr(notifier)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, LogNotifier),
        ({"smtp_url": SecretStr("smtp://h")}, LogNotifier),
        ({"smtp_url": SecretStr("smtp://h"), "mail_to": ("a@example.com",)}, MailNotifier),
    ],
)
def test_what_is_configured(values: dict[str, Any], kind: type) -> None:
    assert isinstance(make_notifier(Settings(**values)), kind)


def test_lists_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARILLON_MAIL_TO", "a@example.com, b@example.com")
    monkeypatch.setenv("CARILLON_TRUSTED_PROXIES", "10.0.0.0/8")
    settings = Settings()
    assert settings.mail_to == ("a@example.com", "b@example.com")
    assert settings.trusted_proxies == ("10.0.0.0/8",)
