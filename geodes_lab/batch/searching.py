"""The products of a schedule, found again at each look: by `geodes_lab.search`, or by a search of STAC in the lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog import search as search_
from geodes_lab.catalog.remote.api import Api
from geodes_lab.errors import GeodesError

MOST = 20_000
"""Products of one look."""
_LAB = "lab"  # the profile of the lab's own catalogue


def found(search: Mapping[str, Any], when: str) -> list[dict[str, Any]]:
    """Return the products of a search and a time, as documents of Items.

    Parameters
    ----------
    search
        Arguments of `geodes_lab.search`; or ``stac``, with the body of a search as the lab's page sends it. The lab's
        catalogue is then asked with the token of this account.
    when
        An interval, such as ``2021-06-01T00:00:00Z/..``.

    Raises
    ------
    GeodesError
        If a catalogue refuses, or too many are found.
    """
    if "stac" in search:
        return _of_stac(search["stac"], when)
    items = search_(**search, datetime=when, limit=MOST + 1)
    if len(items) > MOST:
        raise _too_many()
    if items.missing:  # of several catalogues: a part is not what was asked for, and nobody reads a warning here
        raise GeodesError(f"The search of the schedule is not complete. {' '.join(items.missing)}")
    return [i.to_dict(include_self_link=True, transform_hrefs=False) for i in items.distinct()]


def _of_stac(body: Mapping[str, Any], when: str) -> list[dict[str, Any]]:
    # How much of a page, and which page, is not of the search itself.
    search = {name: value for name, value in body.items() if name not in ("datetime", "limit", "token")}
    items = Api(profiles.load(_LAB)).documents(search, when, MOST + 1)
    if len(items) > MOST:
        raise _too_many()
    return items


def _too_many() -> GeodesError:
    return GeodesError(f"The search of the schedule finds more than {MOST} products: narrow it, or begin later.")
