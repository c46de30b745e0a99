"""Names of properties as columns of a table.

Which names can be one, how SQL writes them, and what kinds of values they hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

TOP = ("type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links", "assets")
"""The columns that are no properties."""
REST = "geodes:rest"
"""The column of those properties of an Item whose names cannot be columns: JSON text."""
TIMES = ("datetime", "start_datetime", "end_datetime", "published", "created", "updated", "expires")
"""The properties that are times, in every collection."""
RESERVED = frozenset({*TOP, REST, "filename", "file_row_number", "file_index", "rowid"})
"""Names that mean something else to what reads the files."""
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
"""What well-known properties hold, for everybody: one person's text would spoil the numbers of all."""


def fits(name: str) -> bool:
    """Whether a property of this name can be a column, and be asked for: letters, digits and ``_ : .

    -``, at most 100.
    """
    return bool(_NAME.fullmatch(name)) and name.casefold() not in RESERVED


def columns(names: Collection[str]) -> set[str]:
    """Those of some names that can be columns of one table: DuckDB does not tell ``Mean`` from ``mean``."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    # What STAC itself says goes before what is spelt like it; of others nobody knows which is meant.
    found = {several[0] for several in folded.values() if len(several) == 1}
    found |= {name for several in folded.values() if len(several) > 1 for name in several if name in KINDS}
    return {name for name in found if fits(name)}


def quoted(name: str) -> str:
    """A name as SQL writes it, so that it is a name whatever is in it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def family(kind: str) -> str:
    """The kind of values that can be compared with values of a kind."""
    return "number" if kind == "integer" else kind


def kind(value: Any) -> str:
    """The kind of a value of JSON; empty for none."""
    if value is None:
        return ""
    names = ((bool, "boolean"), ((int, float), "number"), (str, "string"), (list, "array"))
    return next((n for t, n in names if isinstance(value, t)), "object")
