"""Whether the certificate of a server is good for its name, and for how long."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator

from geodes_lab.surroundings.finding import Finding

_SOON = 14  # days
# https://www.openssl.org/docs/man3.0/man3/X509_STORE_CTX_get_error.html
_NOT_YET, _EXPIRED, _OTHER_NAME = 9, 10, 62
_UNKNOWN = (2, 18, 19, 20, 21)


def good(
    host: str, port: int, what: str, authority: str = "", setting: str = "", name: str = "", seconds: float = 5
) -> Iterator[Finding]:
    """Open a connection with TLS, send nothing, and look at the certificate.

    Parameters
    ----------
    host, port
        The server.
    what
        What it is, for the sentence.
    authority
        A PEM with the authorities that are trusted beside the system's.
    setting
        The value that names such a file.
    name
        The name that the certificate must have; by default the host.
    seconds
        For each step.
    """
    fact, name = f"certificate of {what}", name or host
    context = ssl.create_default_context()
    try:
        if authority:
            context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        yield Finding(fact, "failed", f"{authority} is no readable PEM ({error}): correct {setting}.")
        return
    try:
        with (
            socket.create_connection((host, port), seconds) as plain,
            context.wrap_socket(plain, server_hostname=name) as tls,
        ):
            ends = ssl.cert_time_to_seconds(str((tls.getpeercert() or {}).get("notAfter")))
    except ssl.SSLCertVerificationError as error:
        yield Finding(fact, "failed", _wrong(error, f"{host}:{port}", name, setting))
        return
    except ssl.SSLError as error:
        yield Finding(fact, "failed", f"{host}:{port} does not speak TLS ({error.reason or error}): check the port.")
        return
    except (OSError, ValueError) as error:
        text = f"{host}:{port} cannot be reached from inside ({error}): see its own line, or look from outside."
        yield Finding(fact, "not tried", text)
        return
    days = (ends - time.time()) / 86400
    if days < _SOON:
        yield Finding(
            fact, "warning", f"That of {name} ends in {days:.0f} days: renew it (cert-manager: check why not)."
        )
    else:
        yield Finding(fact, "holds", f"That of {name} is good for {days:.0f} days more.")


def _wrong(error: ssl.SSLCertVerificationError, server: str, name: str, setting: str) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return f"That of {server} has expired: renew it, and look at the clocks if it should be good still."
    if code == _NOT_YET:
        return f"That of {server} is not good yet: the clock of this node or of who made it is wrong; see the clocks."
    if code == _OTHER_NAME:
        return f"That of {server} is not for the name {name}: get one that has it (a wildcard has one level below)."
    if code in _UNKNOWN:
        where = (
            f"name a PEM with the authority in {setting}" if setting else "get one of an authority that systems know"
        )
        return f"That of {server} is of an authority that is not known here ({error.verify_message}): {where}."
    return f"That of {server} is refused ({error.verify_message})."
