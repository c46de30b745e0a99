"""What every catalogue can do, whether it is a service or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import pystac

from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError, shown

_LONGEST = 200  # bytes of a folder's name, with its suffixes


class Collection(NamedTuple):
    """A catalogue's description of one of its collections."""

    id: str
    title: str = ""
    start: datetime | None = None
    """The begin of the first acquisition."""
    end: datetime | None = None
    """The end of the last acquisition; None: it continues, or is unknown."""
    number: int | None = None
    """The number of its Items, if the catalogue has it."""


def named(name: str) -> str:
    """Check that the id of a collection can be the name of a folder: a harvest keeps each collection in one.

    Raises
    ------
    GeodesError
        If it cannot, such as an id that climbs out of the harvest.
    """
    if (
        not name
        or name in (".", "..")
        or len(name.encode(errors="replace")) > _LONGEST
        or shown(name) != name
        or {*"/\\"} & set(name)
    ):
        raise GeodesError(
            f"The collection {name[:80]!r} has an id that cannot be the name of a folder, so it cannot be "
            "harvested: name the other collections."
        )
    return name


class Catalogue(Protocol):
    """A catalogue that `geodes_lab.search` can search."""

    @property
    def profile(self) -> Profile:
        """Its profile in the settings."""

    @property
    def name(self) -> str:
        """Its name in error messages."""

    def ids(self) -> Sequence[str]:
        """Return the ids of its collections; no I/O if the profile lists them."""

    def collections(self) -> list[Collection]:
        """Return all of its collections; I/O."""

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """Return the properties that a search can use, with their types; empty: unknown, and all are allowed."""

    def items(self, query: Query) -> list[pystac.Item]:
        """Return all Items for a query, in STAC's terms.

        The result may have more Items than the query, in any order: the caller checks each against the query. It never
        has fewer, except for the limit, which only a catalogue that keeps the order may apply.
        """
