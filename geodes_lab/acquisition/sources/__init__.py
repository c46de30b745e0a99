"""Sources of products; another package adds one by the entry point group ``geodes_lab.sources``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

from shapely.geometry.base import BaseGeometry

from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.settings import sources as settings_of_sources
from geodes_lab.acquisition.settings.wanted import Wanted
from geodes_lab.errors import GeodesError
from geodes_lab.storage.fetch import Remote

GROUP = "geodes_lab.sources"


@dataclass(frozen=True)
class Request:
    """What a look asks of a source."""

    collection: str
    """Of the datalake's catalogue."""
    wanted: Wanted
    area: BaseGeometry | None
    """In degrees; a source may ask for more, for example its box: all are compared with it afterwards."""
    start: datetime | None
    end: datetime | None
    """When acquisitions begin."""
    overlap: float
    """Seconds before the position that are asked anew: products appear late, and not in order."""
    known: Callable[[], Mapping[str, str]]
    """The ids of this source's products that are known, with names; for sources that only list what they have."""
    known_after: Callable[[str, int], Mapping[str, str]] = lambda after, most: {}
    """Some of them, in order: those after an id, at most so many."""


class Source(Protocol):
    """One place where products are published."""

    def look(self, request: Request, position: str) -> Iterator[Page]:
        """Yield what was published after a position, in pages; an empty position is the begin.

        The engine records each page before it asks for the next one, and looks again from the last position that it
        recorded. It may be given the same products again: they are recorded once.

        Raises
        ------
        GeodesError
            If the source does not answer, or not in a way that is understood.
        """

    def acknowledge(self, page: Page) -> None:
        """Called when a page is recorded, so that a source that waits for it can forget it."""

    def remote(self, publication: Publication) -> Remote:
        """Return where a product is fetched from.

        Raises
        ------
        GeodesError
            If it cannot be fetched now.
        """


def opened(name: str, settings: settings_of_sources.Source) -> Source:
    """Return the source of some settings; nothing is asked yet.

    Raises
    ------
    GeodesError
        If a plug-in is not installed.
    """
    if settings.kind == "cdse":
        from geodes_lab.acquisition.sources.cdse import Cdse

        return Cdse(name, settings)
    if settings.kind == "catalogue":
        from geodes_lab.acquisition.sources.catalogue import Catalogue

        return Catalogue(name, settings)
    if settings.kind == "folder":
        from geodes_lab.acquisition.sources.folder import Folder

        return Folder(name, settings)
    by_name = {e.name: e for e in entry_points(group=GROUP)}
    if settings.name not in by_name:
        raise GeodesError(
            f"sources.{name}.name is {settings.name!r}, and no package here has such a source; there are: "
            f"{', '.join(sorted(by_name)) or 'none'}."
        )
    made: Callable[[str, Mapping[str, Any]], Source] = cast(Any, by_name[settings.name].load())
    return made(name, settings.settings)
