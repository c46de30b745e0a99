"""Properties of a catalogue as keyword arguments of a search: an underscore for a colon, values of the right type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from geodes_lab import arguments
from geodes_lab.errors import GeodesError, nearest

# Prefixes of property names in STAC's extensions; in a keyword argument, an underscore replaces the colon.
_PREFIXES = (
    "eo",
    "grid",
    "landsat",
    "processing",
    "product",
    "proj",
    "s1",
    "s2",
    "sar",
    "sat",
    "sci",
    "storage",
    "view",
)


def properties(keywords: Mapping[str, Any], known: Mapping[str, str], catalogue: str) -> dict[str, Any]:
    """Return the full names of the given properties, with values of their types.

    Parameters
    ----------
    keywords
        As given: an underscore replaces the colon.
    known
        The properties that the catalogue can search, with their types; empty: unknown, and all are allowed.
    catalogue
        Its name in error messages.

    Raises
    ------
    GeodesError
        If the catalogue has no such property, or a value is not of its type.
    """
    names = {n.replace(":", "_").replace("-", "_"): n for n in known}
    filters = {}
    for key, value in keywords.items():
        name = key if key in known else names.get(key)
        if name is None and known:
            raise GeodesError(
                f"{catalogue} has no queryable {key!r}{_meant(key, names)} Its queryables are: "
                f"{', '.join(sorted(names))}."
            )
        prefix, _, rest = key.partition("_")
        name = name or (f"{prefix}:{rest}" if prefix in _PREFIXES and ":" not in key else key)
        filters[name] = _typed(key, value, known.get(name, ""))
    return filters


def _meant(key: str, names: Mapping[str, str]) -> str:
    """The argument that was probably meant, by its spelling, or by a word that other libraries use."""
    if spelt := nearest(key, [*names, *_ARGUMENTS]):
        return spelt
    words = key.lower().split("_")
    usual = [a for a, others in _USUAL.items() if any(w.startswith(o) for w in words for o in others)]
    return f"; did you mean {usual[0]!r}?" if usual else "."


_USUAL = {
    "cloud_cover": ("cloud",),
    "datetime": ("date", "time", "start", "end", "period"),
    "intersects": ("geom", "polygon", "shape", "aoi", "area"),
    "bbox": ("bound", "box", "extent"),
    "limit": ("items", "maxitems", "maxrecords", "results"),
    "ids": ("name", "identifier"),
}
"""Words of other libraries' arguments, by ours; what a catalogue can be asked for counts before."""
_ARGUMENTS = (
    "bbox",
    "intersects",
    "datetime",
    "cloud_cover",
    "orbit",
    "tile",
    "product_type",
    "ids",
    "sortby",
    "limit",
)


def _typed(name: str, value: Any, kind: str) -> Any:
    """Convert a value to the property's type: a number as text would find nothing, without an error."""
    value = arguments.plain(value)
    if isinstance(value, (list, tuple)):
        return type(value)(None if v is None else _typed(name, v, kind) for v in value)
    wanted: type = {"integer": int, "number": float}.get(kind, object)
    if isinstance(value, str) and wanted is not object:
        try:
            return wanted(value)
        except ValueError:
            raise GeodesError(f"{name} is a number, not {value!r}.") from None
    if kind == "boolean" and not isinstance(value, bool):
        raise GeodesError(f"{name} is True or False, not {value!r}.")
    return value
