"""``gl.process``: a job is checked, split into units, and written into the store before anything is answered."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import pystac
import shapely
from odc.geo.geom import Geometry

from geodes_lab import arguments, products
from geodes_lab.batch import identity, own_code, places, starting
from geodes_lab.batch.job import Job
from geodes_lab.batch.request import Request, Unit
from geodes_lab.batch.splitting import form, periods, tiles
from geodes_lab.batch.splitting.units import split
from geodes_lab.batch.store import chosen as stores
from geodes_lab.batch.store.chosen import AnyStore
from geodes_lab.batch.store.records import New
from geodes_lab.errors import GeodesError
from geodes_lab.processing import references
from geodes_lab.processing.process import Process
from geodes_lab.processing.registry import processes
from geodes_lab.vector import shapes

_MOST_PRODUCTS = 100_000
_TILE = 1024  # pixels: a tile of the files of Sentinel-2


@dataclass(frozen=True)
class Draft:
    """A job that was checked and split, and that nobody was told of yet."""

    process: Process
    request: Request
    units: list[tuple[Unit, str]]
    """Each with the key of its content."""
    title: str
    code: bytes | None

    def plan(self) -> Any:
        """Estimate what the job will cost; see `geodes_lab.batch.plan.plan`."""
        from geodes_lab.batch.plan import plan

        return plan(self)

    def start(
        self,
        *,
        store: AnyStore | None = None,
        person: str | None = None,
        schedule: str | None = None,
        subscriber: str | None = None,
    ) -> Job:
        """Write the job into the store; from then on a runner takes its units.

        Parameters
        ----------
        store
            None: the one of the settings.
        person
            Whose job it is; None: this account's. A service names the person who asks.
        schedule
            What began it.
        subscriber
            Whom a service tells of the end, as JSON.
        """
        chosen = store or stores.store()
        owner = person or places.person()
        kind = own_code.NOTEBOOK if self.request.output == "notebook" else own_code.PROCESS
        sealed = None if self.code is None else own_code.seal(self.code, owner, kind)
        new = New(
            owner, self.process.id, self.process.version, self.title, self.request, self.units, self.code, sealed,
            schedule, subscriber,
        )  # fmt: skip
        job = Job(chosen, chosen.add(new), person=owner)
        if store is None:
            starting.needed(chosen, owner)
        return job


def prepared(
    process: str | Process,
    items: Any,
    inputs: Mapping[str, Any],
    *,
    region: Any = None,
    period: str | None = None,
    every: str | None = None,
    tile: int = _TILE,
    crs: int | None = None,
    resolution: float | None = None,
    clip: bool = False,
    output: Literal["zarr", "cog"] | None = None,
    collection: str | None = None,
    readers: Sequence[str] = (),
    title: str = "",
    reads: bool = True,
) -> Draft:
    """Check and split a job; the arguments are those of `geodes_lab.process`, with the inputs in one mapping.

    Metadata of a product are read if CRS and pixel size come from it; no pixel is read.

    Parameters
    ----------
    process, items, inputs, region, period, every, tile, crs, resolution, clip, output, collection, readers, title
        See `geodes_lab.batch.front.Processing`.
    reads
        Whether files may be opened: shapes and products that are paths, and metadata of products. False for a service,
        which must not open with its own rights what somebody names; ``crs`` and ``resolution`` are then needed where
        the Items do not say them.
    """
    if not reads:
        _refuse_names(items, region, inputs)
    chosen = _chosen(process)
    checked = _checked(chosen, inputs, reads)
    several = [_document(item) for item in products.several(items)]
    if len(several) > _MOST_PRODUCTS:
        raise GeodesError(f"The job has {len(several)} products, more than {_MOST_PRODUCTS}: choose a shorter period.")
    if not several:
        raise GeodesError(f"The process {chosen.id} has no products: give Items of gl.search.")
    ours = [products.as_item(document) for document in several]
    outline = _outline(chosen, checked, region)
    if chosen.takes == "items" and chosen.gives == "raster":
        form.refuse_tiles(chosen, outline is not None, clip, output)
    times = periods.parts(period, every) if period is not None else []
    if every is not None and period is None:
        raise GeodesError("every= splits a period: give period= too, such as period='2021'.")
    request = Request(
        inputs=checked,
        items=several,
        output=form.output(chosen, output, region),
        region=None
        if outline is None
        else json.loads(shapely.to_geojson(shapes.converted(outline, shapes.DEGREES).geom)),
        clip=arguments.flag("clip", clip),
        times=times,
        collection=collection_of(chosen, collection),
        readers=arguments.names("readers", readers),
        crs=None if crs is None else arguments.whole("crs", crs, "an EPSG code", 1024),
        resolution=form.resolution(chosen, crs, resolution),
        period=period,
        every=every,
        stamps={n: s for n in sorted(chosen.inputs.files) if (s := references.stamps(checked[n], reads))},
    )
    if outline is not None and chosen.gives == "raster" and chosen.takes == "cube":
        meaning = f"the pixels of a side of a tile, {tiles.LEAST} to {tiles.MOST}"
        side = arguments.whole("tile", tile, meaning, tiles.LEAST)
        if side > tiles.MOST:
            raise GeodesError(f"tile is {meaning}, not {tile!r}.")
        grid = tiles.grid_of(
            shapes.converted(outline, shapes.DEGREES), ours, chosen.bands_of(checked), crs=request.crs,
            resolution=request.resolution, tile=side, reads=reads,
        )  # fmt: skip
        request = replace(request, grid=grid)
    units = split(request, ours, chosen.over)
    code = None if chosen.is_installed else own_code.packed(chosen)
    keyed = [(u, identity.key(chosen.id, chosen.version, code, request, u)) for u in units]
    return Draft(chosen, request, keyed, title or chosen.title, code)


def _chosen(process: str | Process) -> Process:
    chosen = process if isinstance(process, Process) else processes()[process]
    if chosen.gives == "notebook":
        raise GeodesError("A notebook is no process over products: gl.run_notebook runs it as a job.")
    return chosen


def _checked(process: Process, inputs: Mapping[str, Any], reads: bool) -> dict[str, Any]:
    """Return the inputs of a process in the form in which they are stored."""
    given = dict(inputs)
    for name in ("zones", process.region or "zones"):
        if name in given and name in process.inputs.names:
            given[name] = _collection(name, given[name])
    if reads:
        given |= {name: references.given(name, given[name]) for name in process.inputs.files & set(given)}
    return process.inputs.checked(given)


def _outline(process: Process, inputs: Mapping[str, Any], region: Any) -> Geometry | None:
    """Return the shape of the region, that of the job or that of the process's input."""
    if process.region is None:
        return None if region is None else shapes.union("region", region)
    if region is not None:
        raise GeodesError(f"The region of {process.id} is its input {process.region}: leave out region=.")
    return shapes.union(process.region, inputs[process.region])


def _refuse_names(items: Any, region: Any, inputs: Mapping[str, Any]) -> None:
    """Refuse paths and addresses, where what they name would be opened."""
    documents = items.get("features", [items]) if isinstance(items, dict) else items
    if not isinstance(documents, (list, tuple)) or not all(isinstance(i, (dict, pystac.Item)) for i in documents):
        raise GeodesError("Products must be STAC Items, not paths or addresses.")
    for name, shape in (("region", region), ("zones", inputs.get("zones"))):
        if shape is not None and not isinstance(shape, dict):
            raise GeodesError(f"{name} must be GeoJSON, not the name of a file.")


def _document(item: Any) -> dict[str, Any]:
    """Return an Item as a document, with its own address."""
    ours: pystac.Item = products.as_item(item)
    return ours.to_dict(include_self_link=True, transform_hrefs=False)


def _collection(name: str, value: Any) -> dict[str, Any]:
    """Turn shapes of any form into GeoJSON: a runner has neither the file nor the frame."""
    features = [
        {
            "type": "Feature",
            "id": s.name,
            "properties": {str(k): v for k, v in s.properties.items() if isinstance(v, (str, int, float, bool))},
            "geometry": geojson(s.geometry),
        }
        for s in shapes.read(name, value)
    ]
    return {"type": "FeatureCollection", "features": features}


def geojson(geometry: Geometry) -> dict[str, Any]:
    """Return a geometry as GeoJSON in degrees."""
    document: dict[str, Any] = json.loads(shapely.to_geojson(shapes.converted(geometry, shapes.DEGREES).geom))
    return document


def collection_of(process: Process, asked: str | None) -> str | None:
    """Return where the results of a process are published: in a lab by themselves, elsewhere if it was asked for."""
    if asked is None:
        return process.id if os.environ.get("JUPYTERHUB_USER") else None
    return asked or None
