"""What of an Item the tiler may open: addresses on the datalake that the person may read, and no others.

Anybody may have written an Item: a path of this machine, or an address in the lab's own network, is not opened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import urlsplit

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import refusing
from geodes_lab.policy.places import bucket_and_key, check
from hub.services.person import Person

_MOST = 500  # assets of an Item


def of(
    document: dict[str, Any], person: Person, lab: Lab, hosts: Collection[str]
) -> tuple[dict[str, Any], frozenset[str]]:
    """Return an Item with the assets that may be opened, each with one address; and their places.

    Parameters
    ----------
    document
        The Item, as the catalogue gives it.
    person, lab
        Who asks, and the operator's rules.
    hosts
        Host names of the datalake.

    Returns
    -------
    dict, frozenset
        The Item without links, and the ``bucket/key`` of each asset; no asset: nothing may be opened.
    """
    assets: dict[str, Any] = {}
    places: set[str] = set()
    listed = document.get("assets")
    for name, asset in list(listed.items())[:_MOST] if isinstance(listed, dict) else ():
        if not isinstance(asset, dict):
            continue
        place = next((p for href in _addresses(asset) if (p := _place(href, hosts))), None)
        if place is None or refusing(person.groups, place, lab):
            continue
        assets[name] = {k: v for k, v in asset.items() if k != "alternate"} | {"href": f"s3://{place}"}
        places.add(place)
    return {**document, "assets": assets, "links": []}, frozenset(places)


def _addresses(asset: dict[str, Any]) -> Iterator[str]:
    others = asset.get("alternate")
    for one in (asset, *(others.values() if isinstance(others, dict) else ())):
        if isinstance(one, dict) and isinstance(one.get("href"), str):
            yield one["href"]


def _place(href: str, hosts: Collection[str]) -> str | None:
    """Return the ``bucket/key`` of an address on the datalake; None: it is elsewhere."""
    try:
        url = urlsplit(href)
        if url.query or url.fragment:
            return None
        if url.scheme == "s3":
            bucket, key = url.netloc, url.path.removeprefix("/").rstrip("/")
            check(bucket, key)
        elif url.scheme == "https" and url.netloc in hosts:
            bucket, key = bucket_and_key(url.path)
        else:
            return None
    except ValueError:
        return None
    # What the tiler would read as the begin of a query or a fragment, in the address that it gets.
    return f"{bucket}/{key}" if key and not {"?", "#"} & set(key) else None
