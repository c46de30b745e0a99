"""Which products a question is about: names in a catalogue, files of the person, or a search."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pystac

from geodes_lab.assistant.limits import PRODUCTS
from geodes_lab.catalog import search
from geodes_lab.errors import GeodesError, shown

_LONGEST = 250  # of the name of a file
_ARGUMENTS = frozenset(inspect.signature(search).parameters)


@dataclass(frozen=True)
class Selection:
    """A search as an assistant states it: it says what is searched, never at which address."""

    collection: str | Sequence[str] | None = None
    """One collection, or several."""
    names: Sequence[str] = ()
    """Names of products in it, or paths of files."""
    datetime: str | None = None
    bbox: Sequence[float] | None = None
    cloud_cover: float | None = None
    tile: str | Sequence[str] | None = None
    orbit: int | Sequence[int] | None = None
    product_type: str | Sequence[str] | None = None
    properties: Mapping[str, Any] | None = None
    sortby: str | Sequence[str] | None = None
    latest: bool = True
    profile: str | None = None
    """The name of a catalogue in the settings."""

    def items(self, limit: int) -> list[pystac.Item]:
        """Search; at most so many.

        Raises
        ------
        GeodesError
            If the search is not valid, or the catalogue refuses it.
        """
        if not self.collection:
            raise GeodesError("Say the collection, such as PEPS_S2_L1C: the tool collections lists them.")
        found = search(
            self.collection if isinstance(self.collection, str) else list(self.collection),
            datetime=self.datetime, bbox=self.bbox, cloud_cover=self.cloud_cover, tile=self.tile, orbit=self.orbit,
            product_type=self.product_type, ids=list(self.names) or None, latest=self.latest and not self.names,
            sortby=self.sortby, limit=limit, profile=self.profile, **queryables(self.properties),
        )  # fmt: skip
        return list(found)

    def products(self) -> list[pystac.Item | str]:
        """Return the products: files as paths, others as Items.

        Raises
        ------
        GeodesError
            If there are none or too many, one of the names is not there, or it is an address.
        """
        paths = [str(_file(name)) for name in self.names if self._is_path(name)]
        others = [name for name in self.names if not self._is_path(name)]
        if len(self.names) > PRODUCTS:
            raise GeodesError(f"These are {len(self.names)} products, and {PRODUCTS} can be asked for at once.")
        if paths and not others:
            return list(paths)
        if others and not self.collection:
            raise GeodesError(
                f"{shown(others[0])[:100]} is no file here: say the collection that it belongs to, or the path of a "
                "file."
            )
        items = replace(self, names=others).items(PRODUCTS + 1)
        if missing := sorted(set(others) - {item.id for item in items}):
            named = ", ".join(shown(name)[:100] for name in missing[:5])
            raise GeodesError(f"{named} is not in {self.collection}: the tool search gives the names of products.")
        if not items:
            raise GeodesError("The search finds no product: widen its dates, its bbox or its cloud cover.")
        if len(items) > PRODUCTS:
            raise GeodesError(f"The search finds more than {PRODUCTS} products: narrow its dates, bbox or cloud cover.")
        return [*paths, *items]

    def _is_path(self, name: str) -> bool:
        """Whether a name is that of a file: with a collection, plain names are products of it, whatever lies here."""
        if "/" in name or name.startswith("~"):
            return True
        return not self.collection and len(name) < _LONGEST and "\0" not in name and Path(name).exists()


def queryables(properties: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return properties as the keywords of a search: a list is alternatives, lowest and highest are a range.

    Raises
    ------
    GeodesError
        If one is an argument of the search itself, such as its address, or a range has another word.
    """
    keywords: dict[str, Any] = {}
    for name, value in (properties or {}).items():
        if name in _ARGUMENTS:
            raise GeodesError(f"{name} is no property of products: an assistant cannot ask for it there.")
        if isinstance(value, Mapping):
            if not value or set(value) - {"lowest", "highest"}:
                raise GeodesError(f"A range of {shown(name)} is written with lowest and highest, one of them or both.")
            keywords[name] = (value.get("lowest"), value.get("highest"))
        else:
            keywords[name] = value
    return keywords


def _file(name: str) -> Path:
    """Return a file or folder of the person's.

    An address is refused: a sentence in a catalogue could make an assistant send something there.
    """
    if "://" in name or name.startswith(("/vsi", "//")):
        raise GeodesError(
            f"{shown(name)} is an address: an assistant opens products of a catalogue by their names, and files by "
            "their paths."
        )
    try:
        path = Path(name).expanduser().absolute()
        there = path.exists()
    except (RuntimeError, ValueError, OSError) as error:
        raise GeodesError(f"{shown(name)[:300]} is no path ({error}).") from None
    if not there:
        raise GeodesError(f"{shown(name)[:300]} does not exist: give a path that this server has, or a product's name.")
    return path
