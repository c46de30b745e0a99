"""One process: a function, its inputs, and its description for people and for OGC API – Processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Annotated, Any, Literal

from geodes_lab.errors import GeodesError
from geodes_lab.processing.docstring import described
from geodes_lab.processing.inputs import Between, Inputs, Unit
from geodes_lab.processing.references import Files

Bands = Sequence[str] | Callable[[Mapping[str, Any]], Sequence[str]] | None
Gives = Literal["raster", "table", "items", "notebook"]
Resampling = Literal[
    "nearest",
    "bilinear",
    "cubic",
    "cubic_spline",
    "lanczos",
    "average",
    "mode",
    "min",
    "max",
    "med",
    "q1",
    "q3",
    "sum",
    "rms",
]
_ID = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_MEDIA = {
    "raster": ["application/vnd.zarr; version=3", "image/tiff; application=geotiff; profile=cloud-optimized"],
    "table": ["application/vnd.apache.parquet"],
    "items": ["application/geo+json"],
    "notebook": ["application/x-ipynb+json"],
}


def opening(
    mask: list[str] | dict[str, list[int]] | None = None,
    mask_buffer: Annotated[float, Unit("m"), Between(0, 10_000)] = 0.0,
    resampling: Resampling = "nearest",
) -> None:
    """Inputs of all processes over a cube: how it is opened, as in `geodes_lab.open_cube`.

    Parameters
    ----------
    mask
        Classes of the products' own masks that become no data, such as cloud; or bands of classes with their numbers.
    mask_buffer
        How far around them pixels become no data too.
    resampling
        How pixels come to another grid.
    """


def over_terrain(
    dem: Files | None = None,
    dem_heights: Literal["geoid", "ellipsoid"] | None = None,
    orbits: Files | None = None,
) -> None:
    """Inputs of processes whose cube may have bands of a radar.

    Parameters
    ----------
    dem
        The terrain model under bands of a radar: a path in your home, an address (https, s3) or a STAC Item; or a list.
    dem_heights
        What its heights refer to; without, what its file or its name says.
    orbits
        Orbit files of Sentinel-1 (POEORB), which are better than the products' own: paths, addresses or Items.
    """


def on_terrain(
    dem: Files, dem_heights: Literal["geoid", "ellipsoid"] | None = None, orbits: Files | None = None
) -> None:
    """Inputs of processes whose cube needs a terrain model.

    Parameters
    ----------
    dem
        The terrain model: a path in your home, an address (https, s3) or a STAC Item; or a list of its tiles.
    dem_heights
        What its heights refer to; without, what its file or its name says.
    orbits
        Orbit files of Sentinel-1 (POEORB), which are better than the products' own: paths, addresses or Items.
    """


TERRAIN = ("dem", "dem_heights", "orbits")
"""The inputs of both."""
_TERRAIN: dict[str, tuple[Callable[..., Any], ...]] = {"no": (), "may": (over_terrain,), "must": (on_terrain,)}


@dataclass(frozen=True)
class Process:
    """A process that can be run as a job.

    It is callable as its function is. ``describe()`` is its description as OGC API – Processes wants it.
    """

    id: str
    version: str
    function: Callable[..., Any]
    takes: Literal["cube", "items"]
    """The first parameter of the function: the cube of a unit, or its Items."""
    over: Literal["each", "all"]
    """Without a region: a unit for each product, or one unit for all of them."""
    gives: Gives
    """What the function returns: maps (a Dataset or DataArray with y and x), a table of pandas, or Items of files that
    it wrote into ``folder``; ``notebook`` is what the one process of that name gives, an executed notebook."""
    bands: Bands = None
    """The bands of the cube, or a function of the inputs that gives them; None: the input ``bands``."""
    region: str | None = None
    """The input that is the region too, if there is one."""
    loads: bool = False
    """Whether it works as well on values: a cube that is small is then read before the function is called."""
    terrain: Literal["no", "may", "must"] = "no"
    """Whether its cube may be opened over a terrain model, or must be."""
    opens: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """Arguments of `geodes_lab.open_cube` that are the same in all jobs; they are no inputs."""
    resolution: float | None = None
    """Metres of a pixel, where none is asked for; a finer one is refused."""
    is_installed: bool = False
    """Whether another process can import it: it comes with the lab or by an entry point."""
    inputs: Inputs = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        extra = (opening, *_TERRAIN[self.terrain]) if self.takes == "cube" else ()
        object.__setattr__(self, "inputs", Inputs(self.id, self.function, *extra, without=self.opens))

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "inputs"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    def __call__(self, *given: Any, **inputs: Any) -> Any:
        """Call its function."""
        return self.function(*given, **inputs)

    @property
    def title(self) -> str:
        """The first sentence of its docstring."""
        return described(self.function).title or self.id

    @property
    def description(self) -> str:
        """The rest of its docstring, before the parameters."""
        return described(self.function).text

    def bands_of(self, inputs: Mapping[str, Any]) -> list[str]:
        """Return the bands that the cube needs."""
        bands = self.bands(inputs) if callable(self.bands) else self.bands or inputs.get("bands") or ()
        return [bands] if isinstance(bands, str) else list(bands)

    def check_plan(self) -> None:
        """Check that what this process reads is known before it runs.

        Raises
        ------
        GeodesError
            If it is not: only processes over a cube that give maps can be planned.
        """
        if self.takes != "cube" or self.gives != "raster":
            raise GeodesError(f"What {self.id} reads is not known before it runs: plan the cube of its products.")

    def describe(self) -> dict[str, Any]:
        """Return the description of OGC API – Processes 1.0, a JSON object."""
        required = self.inputs.required()
        several: dict[str, Any] = {}
        for name, schema in self.inputs.schemas().items():
            text = self.inputs.texts.get(name) or name
            several[name] = {
                "title": name,
                "description": text,
                "minOccurs": int(name in required),
                "maxOccurs": 1,
                "schema": schema,
            }
            if unit := self.inputs.units.get(name):
                several[name]["additionalParameters"] = {"parameters": [{"name": "unit", "value": [unit]}]}
        results = {"type": "object", "contentMediaType": "application/geo+json"}
        return {
            "id": self.id,
            "version": self.version,
            "title": self.title,
            "description": self.description or self.title,
            "jobControlOptions": ["async-execute", "dismiss"],
            "outputTransmission": ["reference"],
            "inputs": several,
            "outputs": {
                "items": {
                    "title": "STAC Items of the results",
                    "description": f"Their assets are {' or '.join(_MEDIA[self.gives])}.",
                    "schema": results,
                }
            },
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td style='text-align:left'><code>{escape(n)}</code></td>"
            f"<td style='text-align:left'>{escape(self.inputs.texts.get(n, ''))}</td></tr>"
            for n in self.inputs.names
        )
        return f"<b>{escape(self.id)}</b> {escape(self.version)}: {escape(self.title)}<table>{rows}</table>"


def check_id(name: str) -> str:
    """Check the id of a process.

    Raises
    ------
    GeodesError
        If it has other characters than it may have.
    """
    if not _ID.fullmatch(name):
        raise GeodesError(f"A process cannot be named {name!r}: use a-z, 0-9, _ and -, and a letter first.")
    return name
