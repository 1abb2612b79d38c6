"""Notices to operators: something needs a person. Logged always; also by e-mail where that is configured."""

import asyncio
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import structlog

from .metrics import NOTICES
from .redaction import redact_text
from .settings import Settings

_log = structlog.get_logger(__name__)
_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person should know.

    Attributes:
        title: One line.
        text: What happened and what to do about it; never a secret.
        urgent: Whether it cannot wait until somebody looks.
    """

    title: str
    text: str
    urgent: bool = False


class Notifier(Protocol):
    """Tells operators."""

    async def notify(self, notice: Notice) -> None:
        """Tell them; a notice that cannot be delivered is logged, never raised."""
        ...


class LogNotifier:
    """Writes notices to the log."""

    async def notify(self, notice: Notice) -> None:
        """See `Notifier.notify`."""
        write = _log.error if notice.urgent else _log.warning
        write("notice", title=notice.title, text=notice.text, urgent=notice.urgent)
        NOTICES.labels("logged").inc()


class MailNotifier:
    """Sends notices by SMTP, and logs them as well."""

    def __init__(self, url: str, sender: str, recipients: tuple[str, ...]) -> None:
        """Prepare; `url` is `smtp://` (with STARTTLS where the server offers it) or `smtps://`."""
        self._url = urlsplit(url)
        self._sender = sender
        self._recipients = recipients
        self._log = LogNotifier()

    def __repr__(self) -> str:
        return f"MailNotifier({self._url.hostname})"

    async def notify(self, notice: Notice) -> None:
        """See `Notifier.notify`."""
        await self._log.notify(notice)
        try:
            await asyncio.to_thread(_send, self._url, self._message(notice))
        except (OSError, smtplib.SMTPException) as error:
            _log.warning("a notice could not be mailed", title=notice.title, reason=type(error).__name__)
            NOTICES.labels("mail_failed").inc()
        else:
            NOTICES.labels("mailed").inc()

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(self._recipients)
        # A line break would begin another header.
        message["Subject"] = " ".join(f"[Carillon] {notice.title}".split())
        message.set_content(redact_text(notice.text))
        return message


def make_notifier(settings: Settings) -> Notifier:
    """By e-mail if a server and recipients are configured, else to the log."""
    if settings.smtp_url is None or not settings.mail_to:
        return LogNotifier()
    return MailNotifier(settings.smtp_url.get_secret_value(), settings.mail_from, settings.mail_to)


def _send(url: SplitResult, message: EmailMessage) -> None:
    secure = url.scheme == "smtps"
    context = ssl.create_default_context()
    host, port = url.hostname or "localhost", url.port or (465 if secure else 25)
    server = (
        smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
        if secure
        else smtplib.SMTP(host, port, timeout=_TIMEOUT)
    )
    with server:
        server.ehlo_or_helo_if_needed()
        if not secure and server.has_extn("starttls"):
            server.starttls(context=context)
        if url.username:
            if not secure and not isinstance(server.sock, ssl.SSLSocket):
                message_text = "the mail server offers no encryption; the password was not sent"
                raise smtplib.SMTPException(message_text)
            server.login(unquote(url.username), unquote(url.password or ""))
        server.send_message(message)
