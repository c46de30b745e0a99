"""What is asked of a job, and of each of its units: plain values, stored as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from geodes_lab.errors import GeodesError

Output = Literal["zarr", "cog", "table", "items", "remote", "notebook"]
"""One cube; or a file for each unit: a map, a table, whatever the process writes; or what another service makes; or an
executed notebook."""

PLAN = "_plan"
"""Instead of a process: the job is the plan of another one. No process can have this id."""


class Impossible(GeodesError):
    """A unit cannot be computed, and never will be: another attempt would end the same."""


@dataclass(frozen=True)
class TileGrid:
    """A grid of square tiles that depends on no job: the same place has the same tile in each."""

    epsg: int
    resolution: float
    """Of a pixel, in units of the CRS."""
    anchor: tuple[float, float]
    """The left and upper edge of the tile (0, 0)."""
    tile: int
    """Pixels of a side."""
    columns: tuple[int, int]
    """First and last column of tiles of this job, the last one excluded; they grow eastward."""
    rows: tuple[int, int]
    """The same for rows, which grow southward."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels of the whole cube."""
        return (self.rows[1] - self.rows[0]) * self.tile, (self.columns[1] - self.columns[0]) * self.tile

    def name(self, column: int, row: int) -> str:
        """Name a tile, the same in each job."""
        return f"{self.epsg}_{self.resolution:g}_{self.tile}_x{column}_y{row}".replace("-", "m")


@dataclass(frozen=True)
class Request:
    """What is asked of a job."""

    inputs: dict[str, Any]
    """Checked, with defaults."""
    items: list[dict[str, Any]]
    """The STAC Items, as documents."""
    output: Output
    region: dict[str, Any] | None = None
    """A geometry of GeoJSON, in degrees."""
    clip: bool = False
    grid: TileGrid | None = None
    times: list[tuple[str, str]] = field(default_factory=list)
    """Begin and end of each period, RFC 3339; the end is excluded."""
    collection: str | None = None
    """Where the results are published; None: nowhere."""
    readers: list[str] = field(default_factory=list)
    profile: str | None = None
    """Of the service that computes it, if it is not the lab."""
    crs: int | None = None
    resolution: float | None = None
    period: str | None = None
    """As it was asked for; ``times`` has its parts."""
    every: str | None = None
    planned: str = ""
    """The process whose plan is made; empty: the job itself is done."""
    place: str = ""
    """Of a notebook that came with the job: the folder in which it runs."""
    stamps: dict[str, list[str]] = field(default_factory=dict)
    """Of inputs that name files: what tells these files from later ones with the same names."""

    def text(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Request:
        """Read it."""
        document = json.loads(text)
        grid = document.pop("grid")
        if grid is not None:
            grid = TileGrid(**grid | {n: tuple(grid[n]) for n in ("anchor", "columns", "rows")})
        times = [(begin, end) for begin, end in document.pop("times")]
        return cls(**document, grid=grid, times=times)


@dataclass(frozen=True)
class Unit:
    """One part of a job: computed, retried and reported by itself."""

    name: str
    """Such as ``32631_10_1024_x3_y7 2021-06-01``; unique in its job."""
    items: list[int]
    """Which Items of the request it needs, by number."""
    tile: tuple[int, int] | None = None
    """Column and row in the grid of the request."""
    time: int | None = None
    """Which period of the request, by number."""
    file: str = ""
    """The name of its file in the folder of the job, without an ending."""
    is_end: bool = False
    """Whether it is the end of the job: Items and publication."""

    def text(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Unit:
        """Read it."""
        document = json.loads(text)
        tile = document.pop("tile")
        return cls(**document, tile=None if tile is None else (tile[0], tile[1]))

    def said(self) -> str:
        """Name it in a sentence."""
        return "The end of the job" if self.is_end else self.name


@dataclass(frozen=True)
class File:
    """A file of a result."""

    path: str
    """In the folder of the job, with ``/``."""
    size: int
    sha256: str


@dataclass(frozen=True)
class Result:
    """What a unit made."""

    files: list[File]
    items: list[dict[str, Any]] = field(default_factory=list)
    """Items of the process's own files; or at the end, those of the job."""
    reused: str = ""
    """The job whose unit had made the same."""

    def text(self) -> str:
        """Write it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Result:
        """Read it."""
        document = json.loads(text)
        return cls(**document | {"files": [File(**f) for f in document["files"]]})
