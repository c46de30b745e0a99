"""One product on a web server: whether it can be read in place, and its download as a whole file."""

from __future__ import annotations

import contextlib
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, NoReturn, TypeVar

import httpx

from geodes_lab import credentials, settings
from geodes_lab.credentials import origin, tls
from geodes_lab.storage import multihash
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.storage.traffic import traffic
from geodes_lab.util.progress import bar

# seconds before the next attempts; only three, because each attempt may count against the quota
_PAUSES = (1.0, 5.0, 20.0)
TIMEOUT = httpx.Timeout(30, read=120)
_SOON = 120.0  # seconds; a server that asks to wait no longer is waited for, whatever it counts
_PROGRESS = 2**20  # bytes after which failures are counted anew
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_T = TypeVar("_T")


class Again(Exception):
    """A failure that may not occur at the next attempt."""

    after: float | None = None
    """Seconds that the server asks to wait."""


class QuotaUsedUp(Unreachable):
    """The server gives no more products for now."""

    after: float | None = None
    """Seconds that the server asks to wait, if it says so."""


class Gone(Unreachable):
    """The server has the product no longer."""


class OnTape(Unreachable):
    """The product is on tape, and its server has been asked for it."""


@dataclass(frozen=True)
class Remote:
    """One product on a web server; failures are retried where that may help, else reported in a sentence."""

    name: str
    """The product's name in error messages."""
    address: str
    """With its query, which is never shown because it may be a signature."""
    place: ObjectLocation
    size: int | None
    """In bytes, if the catalogue has it. The same for the checksum, a multihash."""
    checksum: str | None
    bearer: Callable[[], str] | None = None
    """Gives the access token for the server of the address, which alone gets it; None: it needs none."""

    def is_read_in_place(self) -> bool:
        """Request four bytes without the key, as `ObjectLocation` does.

        Raises
        ------
        Unreachable
            If the server does not answer.
        """
        return self.patiently(self._probe)

    def _probe(self) -> bool:
        with self.answer("GET", {"Range": "bytes=0-3"}) as answer:
            content_range = re.fullmatch(r"bytes 0-3/(\d+)", answer.headers.get("Content-Range", ""))
            if answer.status_code != 206 or not content_range or self.size not in (None, int(content_range[1])):
                return False
            return len(next(answer.iter_bytes(5), b"")) == 4

    def fetch(self, file: BinaryIO, make_room: Callable[[int], None]) -> bool:
        """Download the product into a file, and verify it.

        Parameters
        ----------
        file
            Each attempt writes it from the beginning; it ends where the product ends.
        make_room
            Called before each write with the number of bytes of the whole file, as far as that is known.

        Returns
        -------
        bool
            Whether it is a zip.

        Raises
        ------
        GeodesError
            If the server does not answer, refuses the product or returns something else, or the key cannot be valid.
        """
        with bar(self.name) as tell:
            return self.patiently(lambda: self._transfer(file, make_room, tell))

    def fail(self, problem: str, kind: type[Unreachable] = Unreachable) -> NoReturn:
        """Raise `Unreachable` with a sentence that names the product and says what to do."""
        raise kind(f"{self.name} could not be fetched from {self.place.href}: {problem}.")

    def _transfer(
        self, file: BinaryIO, make_room: Callable[[int], None], tell: Callable[[int, int | None], None]
    ) -> bool:
        checksum = multihash.parse(self.checksum)
        digest = checksum.begin() if checksum else None
        written = file.seek(0)
        with self.answer("GET", {}, key(self.address)) as answer:
            chunks = answer.iter_bytes(2**20)
            chunk = start = next(chunks, b"")
            self.check(answer, start)
            length = answer.headers.get("Content-Length", "")
            total = self.size if self.size is not None else int(length) if length.isdecimal() else None
            while chunk:
                written += len(chunk)
                if total is not None and written > total:
                    self.fail(f"it is larger than the announced {total} bytes; tell the operator")
                make_room(total or written)
                file.write(chunk)
                if digest is not None:
                    digest.update(chunk)
                tell(written, total)
                chunk = next(chunks, b"")
        traffic.add(0, written)
        file.truncate(written)
        is_zip = start.startswith(_ZIP)
        if not written or written < (total or 0) or (is_zip and not zipfile.is_zipfile(file)):
            raise Again(f"the transfer ended too early, after {written} bytes")
        if checksum and digest is not None and digest.hexdigest() != checksum.digest:
            self.fail(f"its {checksum.algorithm} differs from the catalogue's; fetch it again, or tell the operator")
        return is_zip

    def check(self, answer: httpx.Response, start: bytes) -> None:
        """Raise an error if the answer, which begins with ``start``, is not the product."""
        status, kind = answer.status_code, answer.headers.get("Content-Type", "").partition(";")[0].lower()
        text = start[:4096].decode("utf-8", "replace").strip()
        is_html = kind.endswith("html") or text.lower().startswith(("<!doctype html", "<html"))
        is_page = not start.startswith(_ZIP) and (is_html or kind.endswith("json") or text.startswith("{"))
        if status == 429 or ("quota" in text.lower() and (status == 403 or is_page)):
            self._wait_or_stop(answer)
        if status in (401, 403):
            self.fail(f"the server refused it ({status}); {self._advice()}")
        if status in (404, 410):
            self.fail("it does not exist there; search again, the catalogue may have another version", Gone)
        if status == 202:
            self.fail("it was on tape, and its server has been asked for it; call again later", OnTape)
        if status == 408 or status >= 500:
            raise _again(f"the server answered {status}", answer)
        if status != 200:
            self.fail(f"the server answered {status}; tell the operator")
        if is_page:
            secret = key(self.address)
            excerpt = " ".join((text.replace(secret, "…") if secret else text).split())[:200]
            what = "an HTML page" if is_html else f"JSON ({excerpt})"
            if is_html and answer.history and not origin.same(str(answer.url), self.address):
                what += f" of {answer.url.host}, where it sent the request, perhaps to log in,"
            self.fail(f"the server sent {what} instead of the product; {self._advice()}")

    def _wait_or_stop(self, answer: httpx.Response) -> NoReturn:
        """Raise the error of a quota; a server that only asks to be slower is asked again."""
        after = retry_after(answer)
        if answer.status_code == 429 and after is not None and after <= _SOON:
            raise _again("the server asks to wait", answer)
        error = QuotaUsedUp(
            f"{self.name} could not be fetched from {self.place.href}: the quota of products per hour is used up; try "
            "again in an hour."
        )
        error.after = after
        raise error

    def _advice(self) -> str:
        if self.bearer is not None:
            return "check the login of its source"
        if key(self.address):
            return "check that GEODES_API_KEY is right and has not expired"
        if origin.listed(self.address, settings.get("download.hosts")):
            if (whom := origin.origin(self.address)) and not whom.is_private:
                return "no key was sent, because others could read it on the way: the address must begin with https"
            return "set GEODES_API_KEY to the key from your profile on the portal"
        return "no key was sent, because the host is not in geodes_lab.download.hosts"

    def patiently(
        self,
        attempt: Callable[[], _T],
        wait: Callable[[float], None] = time.sleep,
        progress: Callable[[], int] = lambda: 0,
    ) -> _T:
        """Call ``attempt`` until it returns, at most four times in a row without progress.

        Parameters
        ----------
        attempt
            Makes the request.
        wait
            Sleeps between two attempts; it may raise.
        progress
            The bytes that have come so far: an attempt that brought many is not counted.
        """
        failures, before = 0, progress()
        while True:
            try:
                return attempt()
            except (Again, httpx.TransportError) as error:
                reason = str(error).rstrip(".") or type(error).__name__
                # there is no route to the server from here: waiting does not help
                if isinstance(error, httpx.ConnectError):
                    self.fail(f"{reason}; check the network")
                if progress() - before >= _PROGRESS:
                    failures = 0
                before = progress()
                if failures == len(_PAUSES):
                    self.fail(f"{reason}, {failures + 1} times; try again later")
                wait(max(_PAUSES[failures], getattr(error, "after", None) or 0))
                failures += 1
            except httpx.TooManyRedirects:
                self.fail(
                    f"the server redirects without end, which is its answer to a wrong or expired key; {self._advice()}"
                )
            except (httpx.DecodingError, httpx.InvalidURL) as error:
                self.fail(f"its server's answer is not understood ({error}); tell the operator")

    @contextlib.contextmanager
    def answer(
        self,
        method: str,
        headers: dict[str, str],
        secret: str | None = None,
        opened: Callable[[Any], None] = lambda stream: None,
    ) -> Iterator[httpx.Response]:
        """Send a request, and give its answer while it comes; the key goes to the first server alone.

        ``opened`` is called with each connection, before anything is waited for on it.
        """
        home = httpx.URL(self.address)
        if self.bearer is not None:
            origin.guard(self.address, f"The access token for {self.name}")
        token = self.bearer() if self.bearer is not None else ""

        def sign(request: httpx.Request) -> None:
            # Redirects pass here too, and inherit the headers: key and token go to the first server only.
            for name, value in (("X-API-Key", secret), ("Authorization", f"Bearer {token}" if token else "")):
                request.headers.pop(name, None)
                if value and origin.same(str(request.url), self.address):
                    request.headers[name] = value
            request.extensions = {**request.extensions, "trace": trace}

        def trace(event: str, about: dict[str, Any]) -> None:
            if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                opened(about["return_value"])

        traffic.add(1, 0)
        with (
            httpx.Client(
                event_hooks={"request": [sign]}, follow_redirects=True, timeout=TIMEOUT, verify=tls.context()
            ) as client,
            client.stream(method, home, headers={"Accept-Encoding": "identity", **headers}) as answer,
        ):
            yield answer


def retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds that a server asks to wait, by a number or a date; None if it does not, or not clearly."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _again(reason: str, answer: httpx.Response) -> Again:
    error = Again(reason)
    after = retry_after(answer)
    error.after = None if after is None else min(after, _SOON)
    return error


def key(address: str) -> str | None:
    """Return the user's key if this address may have it: its host is listed, and nobody on the way can read it."""
    whom = origin.origin(address)
    if whom is None or not whom.is_private or not origin.listed(address, settings.get("download.hosts")):
        return None
    secret = credentials.current("api_key")
    return None if secret is None else secret["key"]
