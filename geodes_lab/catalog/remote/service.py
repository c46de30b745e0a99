"""A catalogue service over HTTP: retried requests, within limits, and error messages for its refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pystac.link import HREF, Link
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import RequestException
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from geodes_lab.catalog.remote import parsing
from geodes_lab.catalog.remote.http import Refused, Web
from geodes_lab.errors import GeodesError

_ATTEMPTS = 6
_PASSING = (500, 502, 503, 504)  # failures that may not occur at the next attempt
_WAIT = 120  # seconds, at most, that a server can request before the next attempt
_BODIES = ("POST", "PUT", "PATCH")
_PAGES = 10_000  # of one search
MOST = 2**30
"""Bytes of all pages of one search."""


class Service:
    """Sends requests to one service.

    Parameters
    ----------
    name
        Its name in error messages.
    url
        Its address.
    token
        The environment variable with a token, if there is one: sent only to addresses below ``url``; never shown.
    files
        Whether its Items may name files of this machine.
    """

    def __init__(self, name: str, url: str, token: str = "", *, files: bool = False) -> None:
        self.name, self.url, self.files = name, url, files
        self.io, self.taken = Io(self), 0
        """How pystac reads it; the bytes of its answers."""
        self.web = Web(url, token, retry=_retry())

    @property
    def whose(self) -> str:
        """The begin of error messages."""
        return f"The catalogue {self.name}"

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, retried where that may help; return the JSON of the answer.

        Raises
        ------
        GeodesError
            If there is no answer, or it is a refusal, or not JSON.
        """
        try:
            return parsing.parsed(self.read(f"{self.url}{path}", method, body), self.whose)
        except APIError as error:
            raise self.refusal(error) from error
        except ValueError:
            raise GeodesError(
                f"The catalogue {self.name} did not answer {method} {self.url}{path} with JSON: check its address."
            ) from None

    def read(self, address: str, method: str = "GET", parameters: dict[str, Any] | None = None) -> bytes:
        """Send a request; return the answer's body.

        Raises
        ------
        APIError
            If there is no answer, or it is a refusal; pystac-client's own error.
        Refused
            If the answer is larger or slower than allowed, or leads elsewhere.
        """
        is_body = method.upper() in _BODIES
        try:
            answer, text = self.web.ask(
                address, method, body=(parameters or {}) if is_body else None, query=None if is_body else parameters
            )
        except (RequestException, HTTPError, OSError) as error:
            raise APIError(str(error)) from error
        if not 200 <= answer.status_code < 300:
            failed = APIError(text[:10_000].decode("utf-8", "replace"))
            failed.status_code = answer.status_code
            raise failed
        self.taken += len(text)
        return text

    def refusal(self, error: APIError) -> GeodesError:
        """Return the error message for a failed request."""
        status, text = getattr(error, "status_code", None), _plain(str(error))  # an error without an answer has none
        if status == 429 or "quota" in text.lower() or "rate limit" in text.lower():
            return GeodesError(
                f"The catalogue {self.name} refuses more requests for now ({text or status}): wait for the next hour, "
                "or ask its operator for a larger quota."
            )
        if status in (401, 403):
            return GeodesError(
                f"The catalogue {self.name} refuses the request (HTTP {status}: {text}): check your key or your rights."
            )
        if status is None:
            return GeodesError(
                f"The catalogue {self.name} at {self.url} does not answer ({_reason(text)}): check the address and "
                "the network."
            )
        if status >= 500:
            return GeodesError(
                f"The catalogue {self.name} failed at each of {_ATTEMPTS} attempts (HTTP {status}: {text}): try again "
                "later."
            )
        return GeodesError(f"The catalogue {self.name} does not understand the request (HTTP {status}: {text}).")


class Io(StacApiIO):
    """How pystac and pystac-client read a service's documents: only through its `Service`.

    No link opens a file.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(max_retries=None)
        self._service = service

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Send a request; headers of a link are not sent."""
        return self._service.read(href, method or "GET", parameters).decode("utf-8")

    def read_text(self, source: HREF, *args: Any, **kwargs: Any) -> str:
        """Read the target of a link or an address; an address that is not of a web server is refused."""
        if not isinstance(source, Link):
            return self.request(str(source), *args, **kwargs)
        fields = source.to_dict(transform_href=False)
        method = str(fields.get("method", "GET")).upper()
        if method not in ("GET", "POST"):
            raise Refused(
                f"{self._service.whose} has a link with the method {method}, which is not supported: refused."
            )
        link_body = fields.get("body")
        body: dict[str, Any] = link_body if isinstance(link_body, dict) else {}
        if method == "POST" and fields.get("merge"):
            body = {**(kwargs.get("parameters") or {}), **body}
        return self.request(str(fields["href"]), method, parameters=body if method == "POST" else None)

    def json_loads(self, txt: str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Parse an answer, within limits."""
        document: dict[str, Any] = parsing.parsed(txt, self._service.whose)
        return document

    def read_json(self, source: HREF, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a document, and check it against STAC if it is one of STAC's."""
        document = super().read_json(source, *args, **kwargs)
        if not isinstance(document, dict):
            raise Refused(f"{self._service.whose} did not return a JSON object: check its address.")
        if "stac_version" not in document:  # a list of queryables
            return document
        base = source.href if isinstance(source, Link) else str(source)
        return parsing.document(document, base, self._service.whose, files=self._service.files)

    def get_pages(
        self, url: str, method: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield page after page, while the service links more, and they have new content.

        Raises
        ------
        Refused
            If the pages form a circle, or are more than in any real search.
        """
        whose, base = self._service.whose, url
        source: HREF = url
        request: dict[str, Any] = {"method": method, "parameters": parameters}
        seen, ids, before = set[str](), set[tuple[Any, Any]](), self._service.taken
        for number in range(_PAGES + 1):
            text = self.read_text(source, **request)
            if number == _PAGES or self._service.taken - before > MOST:
                break
            page = parsing.page(self.json_loads(text), whose)
            some = page.get("features") or page.get("collections") or []
            if not some:
                return
            for one in some:
                parsing.document(one, base, whose, files=self._service.files)
            new = {(one.get("collection"), one["id"]) for one in some}
            if new <= ids:
                raise Refused(f"{whose} returns the same page again and again: it has a fault; tell its operator.")
            ids |= new
            yield page
            link = next(
                (k for k in page.get("links") or () if k.get("rel") == "next" and isinstance(k.get("href"), str)), None
            )
            if link is None:
                return
            step = self._service.web.follow(link["href"], str(link.get("method", "GET")), base)
            link = {**link, "href": step}
            mark = json.dumps([step, link.get("method"), link.get("body")], sort_keys=True, default=str)
            if mark in seen:
                raise Refused(f"{whose} links its pages in a circle: it has a fault; tell its operator.")
            seen.add(mark)
            source, request, base = Link.from_dict(link), {"parameters": parameters}, step
        raise Refused(
            f"{whose} returns more than {_PAGES} pages, or more than 1 GiB: search for less at once, such as one month."
        )


def _retry() -> Retry:
    return Retry(
        total=_ATTEMPTS - 1, backoff_factor=0.2, status_forcelist=_PASSING, allowed_methods=None, raise_on_status=False,
        respect_retry_after_header=True, retry_after_max=_WAIT,
    )  # fmt: skip


def _plain(text: str) -> str:
    """Return a body for people, in one line; of JSON, only its message."""
    try:
        document = json.loads(text)
        text = str(
            next(
                (document[k] for k in ("description", "detail", "message", "messages", "error") if document.get(k)),
                text,
            )
        )
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass
    return " ".join(text.split())[:200]


def _reason(text: str) -> str:
    if "NameResolution" in text:
        return "its host name is not known"
    reason = text.rpartition("Caused by ")[2].strip("()") or text
    return re.sub(r"<[^>]*>|HTTPS?Connection[^:]*: ", "", reason).strip("\"' ")
