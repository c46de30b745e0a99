"""Whether products of GEODES are on disk or on tape; the portal knows, and a user orders products from tape there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pystac

from geodes_lab import settings
from geodes_lab.credentials import origin, tls
from geodes_lab.errors import GeodesError
from geodes_lab.storage import fetch
from geodes_lab.storage.location import locate
from geodes_lab.util.pystac_safe import display as pystac_html

pystac_html.guard()  # every user of Items has imported this module
_TIMEOUT = httpx.Timeout(20.0)
_TOGETHER = 100  # products in one request
_PARALLEL = 8
_LARGEST = 2**23  # bytes of an answer


@dataclass(frozen=True)
class Product:
    """One product of a portal."""

    name: str
    """Its name."""
    download: str
    """Its download address on the portal: the last part is the MD5 of the file."""
    endpoint: str | None
    """Its address on the datalake."""

    @property
    def portal(self) -> str:
        """The portal's address."""
        url = urlsplit(self.download)  # without a name and password: `product` refuses addresses with them
        return f"{url.scheme}://{url.netloc}"

    @property
    def way_out(self) -> str:
        """What to do if the product is on tape."""
        return (
            f"request it in the explorer of {self.portal}, where its name is {self.name}, and open it when it is "
            "on disk"
        )


def product(item: pystac.Item) -> Product | None:
    """Return the product of an Item, if it belongs to a portal of GEODES."""
    if "geodes:urn" not in item.properties:
        return None
    for asset in item.assets.values():
        others = asset.extra_fields.get("alternate", {}).values()
        for href in (asset.href, *(o.get("href", "") for o in others)):
            # An Item may come from anywhere: requests go only to portals that the settings name.
            if "/api/download/" in href and origin.listed(href, settings.get("download.hosts")):
                name = str(item.properties.get("identifier") or item.id)
                return Product(name, href, asset.href if asset.href != href else None)
    return None


def is_here(item: pystac.Item) -> bool:
    """Whether a file of an Item is on this machine, or in the mirror."""
    for asset in item.assets.values():
        try:
            if "data" in (asset.roles or ()) and locate(asset.href).scheme == "file":
                return True
        except GeodesError:
            continue
    return False


def on_disk(products: Sequence[Product]) -> list[bool | None]:
    """Ask the portal whether each product can be read at once; None where the portal does not know.

    Raises
    ------
    GeodesError
        If the portal does not answer, or refuses the request.
    """
    availability: dict[str, bool] = {}
    requests = [(portal, list(some)) for portal, some in _together(products)]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for answers in pool.map(lambda a: _ask(*a), requests):
            availability |= answers
    return [availability.get(_checksum(p.download)) for p in products]


def explained(item: pystac.Item, error: GeodesError) -> GeodesError:
    """Return the reason why a product could not be opened: that it is on tape, if it is; else the error."""
    one = product(item)
    try:
        if one is None or is_here(item) or on_disk([one]) != [False]:
            return error
    except GeodesError:
        return error
    return GeodesError(f"{one.name} is on tape and cannot be read now: {one.way_out}.")


def _together(products: Sequence[Product]) -> Iterable[tuple[str, list[Product]]]:
    portals: dict[str, list[Product]] = {}
    for one in products:
        portals.setdefault(one.portal, []).append(one)
    for portal, some in portals.items():
        for first in range(0, len(some), _TOGETHER):
            yield portal, some[first : first + _TOGETHER]


def _ask(portal: str, products: Sequence[Product]) -> dict[str, bool]:
    """Return the answers by checksum.

    The portal has one request for many products, and an older one for each product.
    """
    key = fetch.key(f"{portal}/")
    question = [{"href": p.download, "endpointURL": p.endpoint} for p in products]
    try:
        with httpx.Client(
            headers={"X-API-Key": key} if key else {},
            timeout=_TIMEOUT,
            transport=httpx.HTTPTransport(verify=tls.context(), retries=2),
        ) as client:
            answer = _answer(client, "POST", f"{portal}/fastavailability", {"availability": question})
            if answer.status_code in (404, 405):
                several = [_answer(client, "GET", f"{portal}/availability/{quote(p.name, safe='')}") for p in products]
            else:
                several = [answer]
    except httpx.HTTPError as error:
        raise GeodesError(f"{portal} did not report what is on tape ({error}): check the network.") from error
    availability: dict[str, bool] = {}
    for one in several:
        if one.status_code in (401, 403):
            raise GeodesError(
                f"{portal} did not report what is on tape (HTTP {one.status_code}): set GEODES_API_KEY to the key "
                "from your profile there."
            )
        availability |= _told(portal, one)
    return availability


def _answer(client: httpx.Client, method: str, address: str, body: Any = None) -> httpx.Response:
    """Send a request, and read no more than a valid answer needs.

    Redirects are not followed: the key is for this server.
    """
    with client.stream(method, address, json=body) as answer:
        parts, size = [], 0
        for part in answer.iter_bytes():
            size += len(part)
            if size > _LARGEST:
                raise httpx.DecodingError("its answer is larger than any valid one", request=answer.request)
            parts.append(part)
    return httpx.Response(answer.status_code, content=b"".join(parts), request=answer.request)


def _told(portal: str, answer: httpx.Response) -> dict[str, bool]:
    try:
        document = answer.raise_for_status().json()
        files = [f for p in document.get("products", [document]) for f in p["files"]]
        return {f["checksum"]: bool(f["available"]) for f in files}
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError, AttributeError):
        raise GeodesError(
            f"{portal} answered the request for what is on tape in an unknown form (HTTP {answer.status_code}): the "
            "service has changed; report it to the developers of GEODES Lab."
        ) from None


def _checksum(href: str) -> str:
    return urlsplit(href).path.rsplit("/", 1)[-1]
