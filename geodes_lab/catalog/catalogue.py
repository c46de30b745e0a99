"""What every catalogue can do, whatever service or files it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import pystac

from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError, shown

_LONGEST = 200  # bytes of a folder's name, with what stands beside it


class Collection(NamedTuple):
    """What a catalogue says of one of its collections."""

    id: str
    title: str = ""
    start: datetime | None = None
    """Of the first acquisition."""
    end: datetime | None = None
    """Of the last; None: it goes on, or is not known."""
    number: int | None = None
    """Items in it, if the catalogue says."""


def named(name: str) -> str:
    """The id of a collection, if it can be the name of a folder: a harvest keeps each collection in one.

    Raises
    ------
    GeodesError
        If it cannot, such as one that climbs out of the harvest.
    """
    if (
        not name
        or name in (".", "..")
        or len(name.encode(errors="replace")) > _LONGEST
        or shown(name) != name
        or {*"/\\"} & set(name)
    ):
        raise GeodesError(
            f"The collection {name[:80]!r} has an id that no folder can have, and is not harvested: name the others."
        )
    return name


class Catalogue(Protocol):
    """Where `geodes_lab.search` looks."""

    @property
    def profile(self) -> Profile:
        """What the settings say of it."""

    @property
    def name(self) -> str:
        """What sentences call it."""

    def ids(self) -> Sequence[str]:
        """The ids of its collections; no I/O where they are known beforehand."""

    def collections(self) -> list[Collection]:
        """All of its collections; I/O."""

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """The properties that may be asked for, with their types; empty: it does not say, and all are allowed."""

    def items(self, query: Query) -> list[pystac.Item]:
        """All Items that it has for a query, in STAC's words.

        There may be more than were asked for, in any order: the caller holds each against the query. There are never
        fewer, but for the limit, which only a catalogue that keeps the order may heed.
        """
