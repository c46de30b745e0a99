"""Names of properties as columns of a table.

Which names are allowed, how SQL writes them, and the types of their values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

TOP = ("type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links", "assets")
"""The columns that are not properties."""
REST = "geodes:rest"
"""The column with an Item's properties whose names cannot be columns: JSON text."""
TIMES = ("datetime", "start_datetime", "end_datetime", "published", "created", "updated", "expires")
"""The properties that are times, in every collection."""
RESERVED = frozenset({*TOP, REST, "filename", "file_row_number", "file_index", "rowid"})
"""Names with another meaning for readers of the files."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]{0,99}", re.ASCII)

KINDS: Mapping[str, str] = {
    **dict.fromkeys(TIMES, "date"),
    **dict.fromkeys(
        (
            "eo:cloud_cover",
            "eo:snow_cover",
            "gsd",
            "view:off_nadir",
            "view:incidence_angle",
            "view:azimuth",
            "view:sun_azimuth",
            "view:sun_elevation",
            "sar:center_frequency",
            "sar:resolution_range",
            "sar:resolution_azimuth",
            "sar:pixel_spacing_range",
            "sar:pixel_spacing_azimuth",
            "sat:relative_orbit",
            "sat:absolute_orbit",
            "proj:epsg",
            "file:size",
            "storage:size",
        ),
        "number",
    ),
    **dict.fromkeys(
        (
            "title",
            "description",
            "license",
            "platform",
            "constellation",
            "mission",
            "instrument",
            "identifier",
            "dataset",
            "grid:code",
            "product:type",
            "product:timeliness",
            "processing:level",
            "processing:version",
            "processing:lineage",
            "processing:facility",
            "sat:orbit_state",
            "sar:instrument_mode",
            "sar:frequency_band",
            "proj:code",
            "geodes:urn",
            "file:checksum",
        ),
        "string",
    ),
    **dict.fromkeys(("instruments", "keywords", "sar:polarizations", "continent_code"), "array"),
    "latest": "boolean",
}
"""The types of well-known properties, for everybody: one person's text would spoil everybody's numbers."""


def fits(name: str) -> bool:
    """Whether a property of this name can be a column, and be asked for: letters, digits and ``_ : .

    -``, at most 100.
    """
    return bool(_NAME.fullmatch(name)) and name.casefold() not in RESERVED


def columns(names: Collection[str]) -> set[str]:
    """Return the names that can be columns of one table: DuckDB does not distinguish ``Mean`` from ``mean``."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    # A name of STAC takes precedence over others with the same letters; among other names the meaning is ambiguous.
    usable = {several[0] for several in folded.values() if len(several) == 1}
    usable |= {name for several in folded.values() if len(several) > 1 for name in several if name in KINDS}
    return {name for name in usable if fits(name)}


def quoted(name: str) -> str:
    """Quote a name for SQL, whatever it contains."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def family(kind: str) -> str:
    """Return the kind of values that values of this kind can be compared with."""
    return "number" if kind == "integer" else kind


def kind(value: Any) -> str:
    """Return the kind of a JSON value; empty for null."""
    if value is None:
        return ""
    names = ((bool, "boolean"), ((int, float), "number"), (str, "string"), (list, "array"))
    return next((n for t, n in names if isinstance(value, t)), "object")
