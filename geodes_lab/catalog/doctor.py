"""Which recorded facts about GEODES still hold, from this machine: a few small requests, no downloads."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, Literal

import httpx

from geodes_lab import settings
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.profile import Profile
from geodes_lab.errors import GeodesError
from geodes_lab.storage import fetch
from geodes_lab.storage.whole_object import quota

State = Literal["holds", "changed", "failed", "not tried"]
_TIMEOUT = httpx.Timeout(20.0)
_SKEW = 300.0  # seconds: S3 refuses signatures that are 15 minutes off
_CLASSES = {"core": "core", "item-search": "search", "filter": "filter", "sort": "sort", "fields": "fields"}


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    fact: str
    """What was checked."""
    state: State
    """``holds``: as recorded.

    ``changed``: different; ``failed``: it does not work from this machine; ``not tried``: something is missing.
    """
    text: str
    """A sentence for the user."""


def examine(name: str = "geodes") -> Iterator[Finding]:
    """Check each fact in turn; each finding is yielded as soon as it is known.

    Parameters
    ----------
    name
        The name of a profile of kind ``geodes``.

    Raises
    ------
    GeodesError
        If there is no such profile, or it is of another kind.
    """
    chosen = profiles.load(name)
    if chosen.kind != "geodes":
        raise GeodesError(
            f"The profile {name!r} is of kind {chosen.kind}: the doctor only checks catalogues of kind geodes."
        )
    with httpx.Client(timeout=_TIMEOUT, follow_redirects=False) as client:
        patient = _Patient(chosen, client)
        for fact, look in _LOOKS:
            try:
                yield Finding(fact, *look(patient))
            except httpx.HTTPError as error:
                yield Finding(fact, "failed", _reason(error))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                yield Finding(fact, "changed", f"the answer has another form ({type(error).__name__}: {error})")


@dataclass(frozen=True)
class _Patient:
    """The service to check."""

    profile: Profile
    client: httpx.Client

    def get(self, url: str, **headers: str) -> httpx.Response:
        return self.client.get(url, headers=headers)

    def search(self, path: str = "", **body: Any) -> httpx.Response:
        url = f"{self.profile.url}/{path or self.profile.search}"
        return self.client.post(url, json={"page": 1, "limit": 1, **body})

    @cached_property
    def landing(self) -> httpx.Response:
        return self.get(self.profile.url).raise_for_status()

    @cached_property
    def item(self) -> dict[str, Any]:
        """Return one Sentinel-2 product, as the service writes it."""
        body = {"collections": ["PEPS_S2_L1C"], self.profile.sort: [{"field": "start_datetime", "direction": "asc"}]}
        first: dict[str, Any] = self.search("", **body).raise_for_status().json()["features"][0]
        return first

    @property
    def headers(self) -> dict[str, str]:
        key = fetch.key(f"{self.profile.portal}/")
        return {"X-API-Key": key} if key else {}


_Told = tuple[State, str]


def _endpoint(it: _Patient) -> _Told:
    return ("holds", f"{it.profile.url} is {it.landing.json()['id']}")


def _clock(it: _Patient) -> _Told:
    skew = abs((datetime.now(UTC) - parsedate_to_datetime(it.landing.headers["Date"])).total_seconds())
    return ("holds" if skew < _SKEW else "failed", f"this machine's clock is {skew:.0f} s from the service's")


def _conformance(it: _Patient) -> _Told:
    classes = it.get(f"{it.profile.url}/conformance").raise_for_status().json()["conformsTo"]
    known = sorted({word for c in classes for end, word in _CLASSES.items() if end in c})
    new = {"filter", "sort"} & set(known)
    return (
        "changed" if new else "holds",
        f"{len(classes)} conformance classes, including {', '.join(known) or 'none of Item Search'}",
    )


def _alias(it: _Patient) -> _Told:
    status = {path: it.search(path).status_code for path in ("search", "items")}
    good = [path for path, s in status.items() if s == 200]
    state: State = "holds" if it.profile.search in good else "changed"
    return state, f"searches are answered at {' and '.join(good) or 'neither /search nor /items'}"


def _counted(it: _Patient) -> _Told:
    answer = it.search(collections=["PEPS_S2_L1C"]).raise_for_status().json()
    return "holds", f"PEPS_S2_L1C counts {int(answer['context']['matched']):,} products"


def _page(it: _Patient) -> _Told:
    size = it.profile.page
    answers = [it.search(limit=n, collections=["PEPS_S2_L1C"]) for n in (size, size + 1)]
    if answers[0].status_code != 200:
        return "changed", f"a page of {size} is refused (HTTP {answers[0].status_code})"
    count = len(answers[0].json()["features"])
    more = answers[1].status_code == 200 and len(answers[1].json()["features"]) > size
    return (
        "holds",
        f"a page of {size} has {count} Items; larger pages are {'accepted too' if more else 'refused'}",
    )


def _next_link(it: _Patient) -> _Told:
    links = it.search(limit=1, collections=["PEPS_S2_L1C"]).raise_for_status().json().get("links", [])
    href = next((link["href"] for link in links if link["rel"] == "next"), "")
    return ("holds" if "limit=1&" not in f"{href}&" else "changed"), f"the link to the next page is {href or 'missing'}"


def _two_collections(it: _Patient) -> _Told:
    matched = it.search(collections=["PEPS_S2_L1C", "PEPS_S1_L1"]).raise_for_status().json()["context"]["matched"]
    return ("changed" if matched else "holds"), f"two ids in `collections` give {matched} products"


def _point(it: _Patient) -> _Told:
    nowhere = {"type": "Point", "coordinates": [-150.0, -45.0]}  # ocean, without any acquisitions
    matched = it.search(intersects=nowhere, collections=["PEPS_S2_L1C"]).raise_for_status().json()["context"]["matched"]
    return ("holds" if matched else "changed"), f"a search at a point in the ocean returns {matched} products"


def _old_names(it: _Patient) -> _Told:
    old = next(iter(it.profile.renamed), "MUSCATE_SENTINEL2_SENTINEL2_L2A")
    status = it.search(collections=[old]).status_code
    return ("holds" if status == 400 else "changed"), f"a search with a collection's old name returns HTTP {status}"


def _words(it: _Patient) -> _Told:
    p = it.item["properties"]
    facts = {
        "datetime is the publication": p["datetime"] != p["start_datetime"],
        "tiles are written T31TCJ": str(p["grid:code"]).startswith("T"),
        "the orbit's state begins with a capital": str(p["sat:orbit_state"])[:1].isupper(),
        f"ids begin with {it.profile.prefix}": it.item["id"].startswith(it.profile.prefix),
        "endpoint_url gives the place on the datalake": "endpoint_url" in p,
        "the assets' descriptions give the MD5": any(
            "MD5" in (a.get("description") or "") for a in it.item["assets"].values()
        ),
    }
    gone = [fact for fact, there in facts.items() if not there]
    return ("changed", f"no longer: {'; '.join(gone)}") if gone else ("holds", "; ".join(facts))


def _collections(it: _Patient) -> _Told:
    answer = it.client.post(f"{it.profile.url}/collections", json={"page": 1, "limit": 500}).raise_for_status().json()
    there, known = {c["id"] for c in answer["collections"]}, set(it.profile.collections)
    if there == known:
        return "holds", f"{len(there)} collections, all known"
    return (
        "changed",
        f"new: {', '.join(sorted(there - known)) or 'none'}; gone: {', '.join(sorted(known - there)) or 'none'}",
    )


def _key(it: _Patient) -> _Told:
    if not it.headers:
        return "not tried", "set GEODES_API_KEY to the key from your profile on the portal"
    try:
        left = quota.ask(it.profile.portal)
    except GeodesError as error:
        return "failed", str(error)
    return "holds", f"{left.left} of {left.most} downloads of this hour are left"


def _ranges(it: _Patient) -> _Told:
    if not it.headers:
        return "not tried", "downloads need GEODES_API_KEY"
    asset = next(a for a in it.item["assets"].values() if "zip" in (a.get("type") or ""))
    # Closed before the body, so that nothing is downloaded if the service sends the whole product. The address comes
    # from the catalogue: the key is sent only if the settings allow it.
    key = fetch.key(asset["href"])
    if key is None:
        return "not tried", f"a product's address is not on the hosts of geodes_lab.download.hosts: {asset['href']}"
    with it.client.stream("GET", asset["href"], headers={"X-API-Key": key, "Range": "bytes=0-99"}) as answer:
        status = answer.status_code
    if status in (301, 302, 401):
        return "not tried", "the key is refused"
    return ("changed" if status == 206 else "holds"), f"a request for a part of a product returns HTTP {status}"


def _s3(it: _Patient) -> _Told:
    endpoint = settings.get("datalake.endpoint")
    status = it.get(endpoint).status_code
    return "holds", f"{endpoint} answers from here (HTTP {status} without keys)"


_LOOKS: tuple[tuple[str, Callable[[_Patient], _Told]], ...] = (
    ("endpoint", _endpoint),
    ("clock", _clock),
    ("conformance", _conformance),
    ("search", _alias),
    ("count", _counted),
    ("page size", _page),
    ("next link", _next_link),
    ("two collections", _two_collections),
    ("point", _point),
    ("old names", _old_names),
    ("words", _words),
    ("collections", _collections),
    ("key and quota", _key),
    ("byte ranges", _ranges),
    ("datalake", _s3),
)


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.request.url} answers HTTP {error.response.status_code}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {error.request.url.host} is not trusted here ({cause.verify_message}): give the "
                "file of the authority that signed it in SSL_CERT_FILE"
            )
        cause = cause.__cause__ or cause.__context__
    return f"{error.request.url.host} does not answer from here ({error or type(error).__name__})"
