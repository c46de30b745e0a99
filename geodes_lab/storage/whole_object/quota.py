"""How many products the portal still gives in this hour."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from geodes_lab.credentials import tls
from geodes_lab.errors import GeodesError
from geodes_lab.storage import fetch

_PATH = "processing/download/get"
_TIMEOUT = httpx.Timeout(20.0)
_LARGEST = 2**16  # bytes of an answer


@dataclass(frozen=True)
class Quota:
    """The products that an account may download in one hour."""

    portal: str
    """The address of the portal."""
    most: int
    """Products in one hour."""
    left: int
    """Products that are left of this hour."""

    def __str__(self) -> str:
        return f"{self.left} of {self.most} downloads of this hour are left at {self.portal}."

    __repr__ = __str__


def ask(portal: str) -> Quota:
    """Ask a portal; one request, with the user's key.

    Raises
    ------
    GeodesError
        If there is no key, the portal does not answer, or refuses, or its answer is not understood.
    """
    key = fetch.key(f"{portal}/")
    if key is None:
        raise GeodesError(
            f"{portal} counts the downloads of each account: set GEODES_API_KEY to the key from your profile there."
        )
    try:
        # Redirects are not followed: the key is for this server.
        with (
            httpx.Client(verify=tls.context(), timeout=_TIMEOUT) as client,
            client.stream("GET", f"{portal}/{_PATH}", headers={"X-API-Key": key}) as answer,
        ):
            data = b""
            for part in answer.iter_bytes():
                data += part
                if len(data) > _LARGEST:
                    raise ValueError("it is larger than any valid one")
        if answer.status_code in (401, 403) or answer.is_redirect:
            raise GeodesError(
                f"{portal} does not say the quota, since the key is refused (HTTP {answer.status_code}): make a new "
                "one on the portal."
            )
        document = httpx.Response(answer.status_code, content=data, request=answer.request).raise_for_status().json()
        return Quota(portal, int(document["maxQuota"]), int(document["remainingQuota"]))
    except httpx.TransportError as error:
        raise GeodesError(f"{portal} does not say the quota ({error}): check the network.") from error
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
        raise GeodesError(
            f"{portal} answered the question for the quota in a way that is not understood (HTTP "
            f"{answer.status_code}): the service has changed."
        ) from error
