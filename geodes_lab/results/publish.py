"""A result becomes a STAC Item in the lab's catalogue, where others can find it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import rioxarray
import xarray as xr
from odc.geo.geom import BoundingBox
from odc.geo.xr import xr_coords  # noqa: F401  (registers .odc)

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.remote.service import Service
from geodes_lab.errors import GeodesError
from geodes_lab.formats import gdal_dataset
from geodes_lab.formats.zarr.store import Objects
from geodes_lab.results import common_place, thumbnail
from geodes_lab.storage import gdal_env
from geodes_lab.storage.location import locate
from geodes_lab.util.pystac_safe import roots as pystac_roots

_TYPES = {".zarr": "application/vnd.zarr; version=3", ".tif": pystac.MediaType.COG, ".tiff": pystac.MediaType.COG}
_READERS = "geodes:readers"


def publish(
    path: str | os.PathLike[str],
    collection: str,
    *,
    title: str = "",
    name: str | None = None,
    datetime: str | None = None,
    readers: Sequence[str] = (),
    properties: Mapping[str, Any] | None = None,
    profile: str = "lab",
) -> pystac.Item:
    """Publish a saved result in the catalogue, as an Item of one of your collections.

    Parameters
    ----------
    path
        The output of `geodes_lab.save`: a ``.zarr`` folder or a ``.tif`` file. Where its readers cannot open it, it is
        copied: for one group into the folder of that group, for everybody into the lab's shared folder, if there is
        one to write to; else a warning says that they cannot.
    collection
        A name such as ``ndvi``, with letters, digits, ``_`` and ``-``; the catalogue names the collection ``<your
        name>.ndvi``, and creates it if needed.
    title
        The collection's title, when it is created.
    name
        The Item's id; None: the file's name without its suffix. An Item with that id is replaced.
    datetime
        The time of the data, or an interval such as ``2021-06-01/2021-08-31``; None: the times in the file. A composite
        has no times, and needs this argument.
    readers
        Groups that can see the collection; ``"*"``: everybody with a login. Empty: only you can see it. For an existing
        collection, the groups are replaced.
    properties
        Further properties of the Item, such as ``{"mean": 0.42}``, which a search can use.
    profile
        The catalogue's name in the settings; by default the lab's own service.

    Returns
    -------
    pystac.Item
        The Item as the catalogue returns it; ``geodes_lab.search(item.collection_id, profile="lab")`` finds it.

    Raises
    ------
    GeodesError
        If the path does not exist, the time of the data is not known, the result has no position on the Earth, or the
        catalogue refuses it.

    Examples
    --------
    >>> import geodes_lab as gl                                          # doctest: +SKIP
    >>> gl.save(month.isel(time=0), "workspace/june.tif")                # doctest: +SKIP
    >>> gl.publish("workspace/june.tif", "ndvi", readers=["*"])          # doctest: +SKIP
    """
    service, user = _service(profile)
    described = item_of(path, name=name, datetime=datetime)
    place = common_place.brought(Path(path).expanduser().resolve(), user, readers)
    item = item_of(place, name=name, datetime=datetime) if place.as_uri() != _href(described) else described
    if (small := thumbnail.asset(place)) is not None:
        item.add_asset("thumbnail", small)
    item.properties |= dict(properties or {})
    return _entered(service, user, item, collection, title or collection, readers)


def entered(
    item: pystac.Item, collection: str, *, title: str = "", readers: Sequence[str] = (), profile: str = "lab"
) -> pystac.Item:
    """Enter an Item that is described already in the catalogue; its files are where its readers can open them.

    Parameters
    ----------
    item
        Any Item; one with its id is replaced.
    collection, title, readers, profile
        See `publish`.

    Returns
    -------
    pystac.Item
        As the catalogue returns it.

    Raises
    ------
    GeodesError
        If there is no catalogue of a hub here, or it refuses the Item.
    """
    service, user = _service(profile)
    return _entered(service, user, item, collection, title or collection, readers)


def _service(profile: str) -> tuple[Service, str]:
    """Return the catalogue of the lab's hub, and whose server this is."""
    chosen = profiles.load(profile)
    user = os.environ.get("JUPYTERHUB_USER")
    if not user or not chosen.token:
        raise GeodesError(
            f"gl.publish adds results to the catalogue of a lab's hub, but the profile {profile!r} or this server "
            "does not belong to a hub: start the lab with `make lab`."
        )
    return Service(profile, chosen.url, chosen.token), user


def _entered(
    service: Service, user: str, item: pystac.Item, collection: str, title: str, readers: Sequence[str]
) -> pystac.Item:
    whole = collection if collection.startswith(f"{user}.") else f"{user}.{collection}"
    item.collection_id = whole
    there = {c["id"]: c for c in service.ask("GET", "/collections")["collections"]}
    document = there.get(whole) or {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": whole,
        "title": title,
        "description": title,
        "license": "other",
        "extent": _extent(item),
        "links": [],
    }
    shared = document | ({_READERS: list(readers)} if readers else {})
    if whole not in there:
        service.ask("POST", "/collections", shared)
    elif readers and shared != document:
        service.ask("PUT", f"/collections/{whole}", shared)
    written = item.to_dict(include_self_link=False, transform_hrefs=False)
    matches = service.ask("POST", "/search", {"collections": [whole], "ids": [item.id], "limit": 1})["features"]
    verb, below = ("PUT", f"/{item.id}") if matches else ("POST", "")
    service.ask(verb, f"/collections/{whole}/items{below}", written)
    return pystac_roots.settle(
        pystac.Item.from_dict(service.ask("GET", f"/collections/{whole}/items/{item.id}")), service.io
    )


def item_of(path: str | os.PathLike[str], *, name: str | None = None, datetime: str | None = None) -> pystac.Item:
    """Describe a saved result as a STAC Item; its metadata are read, no pixel.

    Parameters
    ----------
    path, name, datetime
        See `publish`.
    """
    target = Path(path).expanduser().resolve()
    media = _TYPES.get(target.suffix)
    if media is None or not target.exists():
        raise GeodesError(f"{target} is not a .zarr or .tif from gl.save: check the path.")
    is_zarr = target.suffix == ".zarr"
    try:
        data = _opened(target, is_zarr)
    except GeodesError:
        raise
    except Exception as error:  # any error of a library
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GeodesError(f"{target} cannot be opened ({reason}): save the result again with gl.save.") from error
    box = data.odc.geobox
    if box is None or box.crs is None:
        raise GeodesError(f"{target} has no CRS, or no x and y: it cannot be put on a map.")
    area = box.extent.to_crs("EPSG:4326", resolution=max(box.resolution.x * 100, 1e-6))
    bounds: BoundingBox = area.boundingbox
    begin, end = _times(data, target, datetime)
    names = [str(v) for v in data.data_vars] if is_zarr else _listed(data.attrs.get("long_name", "data"))
    epsg = box.crs.to_epsg()
    asset = {
        "href": target.as_uri(), "type": media, "roles": ["data"], "title": target.name,
        "bands": _bands(names, data),
        "proj:code": f"EPSG:{epsg}", "proj:shape": list(box.shape), "proj:transform": list(box.affine)[:6],
    }  # fmt: skip
    properties = {"created": pd.Timestamp.now("UTC").strftime("%Y-%m-%dT%H:%M:%SZ"), "proj:code": f"EPSG:{epsg}"}
    if "product" in data.coords:  # as `geodes_lab.open_cube` names them; a slice may be pasted from several
        names = " ".join(map(str, np.atleast_1d(data["product"].values))).split()
        properties["derived_from"] = list(dict.fromkeys(names))
    if history := data.attrs.get("history"):
        properties["processing:lineage"] = str(history)
    item = pystac.Item(
        name or target.stem, area.json, list(bounds.bbox), begin, properties,
        start_datetime=None if begin == end else begin, end_datetime=None if begin == end else end,
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )  # fmt: skip
    item.assets = {target.suffix.lstrip("."): pystac.Asset.from_dict(asset)}
    return item


def _bands(names: list[str], data: Any) -> list[dict[str, Any]]:
    """Describe bands; those of a series in time, which are named by their dates, say the time and what they show."""
    described: list[dict[str, Any]] = []
    for name in names:
        band: dict[str, Any] = {"name": name}
        if variable := data.attrs.get("variable"):  # as `cog.write` says of a series
            moment = pd.Timestamp(name.partition(" (")[0])
            band |= {"datetime": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "description": f"{variable} of {name}"}
        described.append(band)
    return described


def _opened(target: Path, is_zarr: bool) -> Any:
    """Open a result, which somebody else may have made: it may not name other files."""
    if is_zarr:
        objects: Any = Objects(locate(target))
        return xr.open_zarr(objects, consolidated=False, decode_coords="all")
    with gdal_env.environment(str(target)), gdal_dataset.opened(str(target)):
        return rioxarray.open_rasterio(target, driver="GTiff")


def _times(data: Any, target: Path, interval: str | None) -> tuple[Any, Any]:
    """Return the first and last moment of a result, UTC."""
    try:
        if interval is not None:
            first, _, last = interval.partition("/")
            moments = [pd.Timestamp(first), pd.Timestamp(last or first)]
        elif "time" in data.coords:
            values = np.atleast_1d(data["time"].values)
            moments = [pd.Timestamp(values.min()), pd.Timestamp(values.max())]
        else:
            moments = [pd.Timestamp(t) for t in _listed(data.attrs.get("time") or data.attrs.get("long_name", []))]
    except ValueError as error:
        if interval is not None:
            raise GeodesError(
                f"datetime={interval!r} is not a time: write 2021-06-01, or 2021-06-01/2021-08-31."
            ) from error
        moments = []
    if not moments:
        raise GeodesError(
            f"{target} does not contain the time of its data: give datetime=, such as '2021-06-01/2021-08-31'."
        )
    aware = [m.tz_localize("UTC") if m.tzinfo is None else m.tz_convert("UTC") for m in moments]
    return min(aware).to_pydatetime().astimezone(UTC), max(aware).to_pydatetime().astimezone(UTC)


def _href(item: pystac.Item) -> str:
    return next(iter(item.assets.values())).href


def _listed(value: Any) -> list[str]:
    """Return rioxarray's text, or several texts, as a list."""
    return [value] if isinstance(value, str) else list(value)


def _extent(item: pystac.Item) -> dict[str, Any]:
    begin = item.properties.get("start_datetime") or item.properties.get("datetime")
    return {
        "spatial": {"bbox": [item.bbox or [-180, -90, 180, 90]]},  # a notebook or a table may have no place
        "temporal": {"interval": [[begin or f"{item.datetime:%Y-%m-%dT%H:%M:%SZ}", None]]},
    }
