"""Sends mails by the operator's SMTP server: plain text, and no text of others becomes a header."""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

from geodes_lab.errors import GeodesError
from geodes_lab.policy.mail import Mail

PASSWORD = "mail_password"
"""The secret with the password of the mail server."""
_SECONDS = 30.0
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+", re.ASCII)
_SUBJECT = 120  # characters
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class NotSent(Exception):
    """A mail was not sent: a sentence; later it may be."""


class Postman:
    """Sends.

    Parameters
    ----------
    mail
        The operator's settings.
    password
        The file with the password of the server; read for each connection, since operators renew it.
    """

    def __init__(self, mail: Mail, password: Path) -> None:
        self._mail, self._password = mail, password

    def checked(self, address: str) -> str:
        """Return an address that may be written to.

        Raises
        ------
        GeodesError
            A sentence, if it is none.
        """
        address = address.strip()
        if len(address) > 200 or not _ADDRESS.fullmatch(address) or ".." in address:
            raise GeodesError("This is no mail address: write it as name@example.org.")
        domain = address.rpartition("@")[2].lower()
        if self._mail.domains and domain not in self._mail.domains:
            raise GeodesError(f"This lab sends mails to addresses of {', '.join(self._mail.domains)} only.")
        return address

    def send(self, address: str, subject: str, text: str) -> None:
        """Send a mail.

        Raises
        ------
        NotSent
            If the server cannot be reached, or refuses it.
        """
        message = EmailMessage()
        message["From"], message["To"] = self._mail.sender, address
        message["Subject"] = _CONTROL.sub(" ", subject.replace("\n", " "))[:_SUBJECT]
        message["Date"], message["Auto-Submitted"] = formatdate(), "auto-generated"
        message["Message-ID"] = make_msgid(domain=self._mail.sender.rpartition("@")[2].strip("> "))
        message.set_content(_CONTROL.sub(" ", text))
        try:
            with self._server() as server:
                server.send_message(message)
        except (smtplib.SMTPException, OSError) as error:
            raise NotSent(f"{self._mail.host} took no mail: {_told(error)}") from error

    @contextlib.contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        mail, context = self._mail, ssl.create_default_context(cafile=self._mail.authority or None)
        if mail.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(mail.host, mail.port, timeout=_SECONDS, context=context)
        else:
            server = smtplib.SMTP(mail.host, mail.port, timeout=_SECONDS)
        with server:
            if mail.security == "starttls":
                server.starttls(context=context)
            if mail.user:
                server.login(mail.user, self._password.read_text().strip())
            yield server


def _told(error: Exception) -> str:
    """What the server said, in one line, without what was sent."""
    answers: list[tuple[int, bytes | str]] = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        answers += error.recipients.values()
    if isinstance(error, smtplib.SMTPResponseException):
        answers.append((error.smtp_code, error.smtp_error))
    for code, said in answers:
        return f"{code} {(said if isinstance(said, str) else said.decode(errors='replace'))[:200]}"
    return " ".join(str(error).split())[:200] or type(error).__name__
