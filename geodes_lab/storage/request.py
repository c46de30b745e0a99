"""A request for an object: repeated where that may help, and one sentence where it fails."""

from __future__ import annotations

import asyncio
import html
import logging
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.storage import byte_range, event_loop, stores
from geodes_lab.storage.traffic import traffic

_log = logging.getLogger("geodes_lab.storage")

# Servers and networks fail for a moment. Each pause (in seconds) is twice the one before, give or take a half, so that
# the readers of a cluster do not all come back at the same time.
_TRIES, _PAUSE = 5, 0.1
# For a server that has answered this process before, or the kernel that this process works for: 13 s in all.
_TRIES_OF_KNOWN = 8
_answered: set[tuple[str, str]] = set()
_SENTENCE = re.compile(r"<Code>AccessDenied</Code><Message>([^<]{40,400})</Message>")
_FINAL = re.compile(r"status code: 4(?!08|29)\d\d|not supported|invalid|builder error", re.IGNORECASE)


class Unreachable(GeodesError):
    """An object does not exist, or cannot be read, or its server does not answer."""


class Replaced(Unreachable):
    """An object has been replaced since it was first read."""


class Place(byte_range.Object, Protocol):
    """What a request is for: a `geodes_lab.storage.object_location.ObjectLocation`."""

    @property
    def href(self) -> str:
        """The address in error messages."""

    @property
    def gdal(self) -> str:
        """The path by which GDAL opens the object."""


async def ask(place: Place, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
    """Make a request in the event loop of the clients; repeat it where that may help.

    Parameters
    ----------
    place
        The object.
    verb
        What the request does, for error messages: "read", "find" …
    call
        Makes the request once.

    Raises
    ------
    GeodesError
        If the last attempt fails too: `Unreachable`, or `Replaced`.
    """
    server, is_renewed, attempt = (place.scheme, place.root), False, 0
    while True:
        attempt += 1
        mark = stores.at_hand() if place.scheme == "s3" else None
        try:
            async with event_loop.turns():
                answer = await call()
            _answered.add(server)
            return answer
        except GeodesError:
            raise
        except byte_range.Changed:
            raise Replaced(
                f"{place.href} was replaced after it was first read{_where(place)}: open the product again."
            ) from None
        except FileNotFoundError:
            raise Unreachable(f"{place.href} does not exist{_where(place)}.") from None
        except Exception as error:
            message = str(error).partition("\n")[0]
            if _is_refused(error, message):
                # Keys may end while requests wait for their turn; the keys of now may be valid.
                if place.scheme == "s3" and not is_renewed and await _renewed(place, mark):
                    is_renewed = True
                    continue
                raise _refused(place, error, verb) from error
            if "External AWS credential provider" in message:
                reason = stores.last_credential_error or message
                raise Unreachable(f"{place.href} cannot be read{_where(place)}: {reason}") from None
            tries = _TRIES_OF_KNOWN if server in _answered or stores.serves() else _TRIES
            if attempt >= tries or place.scheme == "file" or _FINAL.search(message):
                raise Unreachable(f"Could not {verb} {place.href}{_where(place)}: {_first_line(error)}.") from error
            # An HTTP error may repeat a signed address: its query is a key, and is not logged.
            shown = message.partition("?")[0][:200]
            _log.info("Try %d to %s %r failed: %r", attempt, verb, f"{place.root}/{place.path}", shown)
        traffic.again(place.gdal)
        await asyncio.sleep(_PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))


def _is_refused(error: Exception, message: str) -> bool:
    if "External AWS credential provider" in message:
        return False
    return isinstance(error, PermissionError) or "403 Forbidden" in message or "401 Unauthorized" in message


def _refused(place: Place, error: Exception, verb: str) -> Unreachable:
    done = "written" if verb == "write" else "read"
    if place.scheme == "http":
        return Unreachable(
            f"{place.href} cannot be {done}: its server refuses access; give a signed address that has not expired, or "
            "an open address."
        )
    if reason := _SENTENCE.search(str(error)):  # a server that says why, as the lab's gate does
        return Unreachable(f"{place.href} cannot be {done}: {html.unescape(reason[1])}")
    return Unreachable(
        f"{place.href} cannot be {done}{_where(place)}: the datalake refused the keys. Check that the keys exist "
        "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or geodes_lab.credentials.s3) and have not expired, and that you "
        "have access to the collection."
    )


async def _renewed(place: Place, mark: int | None) -> bool:
    try:
        return await asyncio.to_thread(stores.again, mark)
    except GeodesError as error:
        raise Unreachable(f"{place.href} cannot be read{_where(place)}: {error}") from error


def _where(place: Place) -> str:
    return f" on {settings.get('datalake.endpoint')}" if place.scheme == "s3" else ""


def _first_line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    # obstore names its retries before it says what happened.
    return first.rsplit(" - ", 1)[-1].rstrip(".: ")
