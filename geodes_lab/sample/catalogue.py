"""The sample's catalogue: Items in the GEODES service's form, with its quirks, in a static STAC catalogue."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from geodes_lab.sample import spot, spot_heritage, theia, theia_others, waves
from geodes_lab.sample.entries import Entry
from geodes_lab.sample.sentinel1 import earthquake, grd, hills, ocn, slc
from geodes_lab.sample.sentinel2 import l1c, l2a
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml
from geodes_lab.sample.sentinel3 import products

_PORTAL = "https://geodes-portal.cnes.fr/api"
_DATALAKE = "https://s3.datalake.cnes.fr"
_TITLES = {
    "COP_DEM_GLO_30": "Terrain model in the form of Copernicus DEM (GEODES has none: as other catalogues give it)",
    "PEPS_S1_L1": "Sentinel-1 level 1",
    "PEPS_S1_L2": "Sentinel-1 level 2, ocean",
    "PEPS_S2_L1C": "Sentinel-2 level 1C",
    "SENTINEL2_L2A": "Sentinel-2 level 2A in ESA's layout (GEODES has none: as other catalogues give it)",
    "PEPS_S3_L1": "Sentinel-3 SRAL level 1",
    "SWH_SPOT4_L1": "Spot World Heritage, SPOT 4, raw geometry",
    "THEIA_SWH-PHASE1_SPOT1_L1C": "Spot World Heritage, SPOT 1, orthorectified",
    "THEIA_SWH-PHASE1_SPOT4_L1C": "Spot World Heritage, SPOT 4, orthorectified",
    "THEIA_REFLECTANCE_SENTINEL2_L2A": "Theia Sentinel-2 level 2A (MAJA)",
    "THEIA_REFLECTANCE_VENUS_VM5_L2A": "Theia Venµs level 2A (MAJA)",
    "THEIA_S1TILING_SENTINEL1_L1": "Theia Sentinel-1 on the Sentinel-2 grid",
    "THEIA_OSO_RASTER_L3B": "Theia land cover of France",
    "THEIA_POSTEL_VEGETATION_LAI": "POSTEL leaf area index",
    "CMEMS_WAVE_L3": "Wave heights along tracks, level 3, and a buoy (GEODES has none: as Copernicus Marine gives them)",
    "SENTINEL3_SR_2_LAN": "Sentinel-3 SRAL level 2 over land (GEODES has none: as other catalogues give it)",
}
_TYPES = {
    ".zip": "application/zip",
    ".h5": "application/x-hdf5",
    ".gz": "application/gzip",
    ".tif": "image/tiff; application=geotiff",
    ".nc": "application/x-netcdf",
}


def write(entries: list[Entry], folder: Path) -> None:
    """Write ``catalog/``: a static catalogue with Items in the service's form. The products must exist."""
    root = folder / "catalog"
    root.mkdir(parents=True, exist_ok=True)
    collections = sorted({e.collection for e in entries})
    links = [{"rel": "child", "href": f"./{c}/collection.json", "type": "application/json"} for c in collections]
    _json(
        root / "catalog.json",
        {
            "type": "Catalog",
            "id": "geodes-sample",
            "stac_version": "1.1.0",
            "description": "The sample datalake of GEODES Lab.",
            "links": [{"rel": "root", "href": "./catalog.json", "type": "application/json"}, *links],
        },
    )
    for name in collections:
        mine = [e for e in entries if e.collection == name]
        items = [_item(e, folder / "datalake") for e in mine]
        for entry, item in zip(mine, items, strict=True):
            _json(root / name / f"{entry.name}.json", item)
        boxes = [i["bbox"] for i in items]
        extent = [
            min(b[0] for b in boxes),
            min(b[1] for b in boxes),
            max(b[2] for b in boxes),
            max(b[3] for b in boxes),
        ]
        _json(
            root / name / "collection.json",
            {
                "type": "Collection",
                "id": name,
                "stac_version": "1.1.0",
                "title": _TITLES[name],
                "description": f"{_TITLES[name]} products, generated: not real data.",
                "license": "other",
                "extent": {
                    "spatial": {"bbox": [extent]},
                    "temporal": {"interval": [[_time(min(e.start for e in mine)), _time(max(e.end for e in mine))]]},
                },
                "links": [
                    {"rel": "root", "href": "../catalog.json", "type": "application/json"},
                    {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
                    *({"rel": "item", "href": f"./{e.name}.json", "type": "application/geo+json"} for e in mine),
                ],
            },
        )


def _item(entry: Entry, folder: Path) -> dict[str, Any]:
    path = folder / entry.key
    data = path.read_bytes()
    md5 = hashlib.md5(data).hexdigest()
    # A name-based identifier, so that the same sample always has the same Items.
    urn = f"URN:FEATURE:DATA:gdh:{uuid.uuid5(uuid.NAMESPACE_URL, entry.name)}:V1"
    ring = _footprint(entry)
    lons, lats = [p[0] for p in ring], [p[1] for p in ring]
    return {
        "type": "Feature",
        "stac_version": "1.0.0-beta.2",
        "stac_extensions": [],
        "id": urn,
        "collection": entry.collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "centroid": {"lon": sum(lons) / len(lons), "lat": sum(lats) / len(lats)},
        "properties": {
            "identifier": entry.name,
            "dataset": entry.collection,
            "start_datetime": _time(entry.start),
            "end_datetime": _time(entry.end),
            "datetime": _time(entry.published),
            "endpoint_url": f"{_DATALAKE}/{entry.key}",
            "endpoint_description": "Link to product in datalake",
            "latest": True,
            "version": "00.00",
            "sci:doi": "[]",
            "continent_code": ["EU"],
            **_properties(entry),
        },
        "assets": {
            **_beside(entry, urn),
            path.name: {
                "href": f"{_PORTAL}/download/{urn}/files/{md5}",
                "title": path.name,
                "description": f"File size: {len(data)} bytes\n\nIs reference: false\n\nIs online: false\n\nDatatype: "
                f"RAWDATA\n\nChecksum MD5: {md5}",
                "type": _TYPES[path.suffix],
                "roles": ["data"],
            },
            **_picture(entry, folder),
        },
        "links": [],
    }


def _picture(entry: Entry, folder: Path) -> dict[str, Any]:
    path = folder / entry.quicklook
    if not path.exists():
        return {}
    size, md5 = path.stat().st_size, hashlib.md5(path.read_bytes()).hexdigest()
    return {
        f"{entry.start:%Y/%m/%d}/{entry.name[:3]}/{entry.name}_quicklook.jpg": {
            "href": f"{_DATALAKE}/{entry.quicklook}",
            "description": f"File size: {size} bytes\n\nDatatype: QUICKLOOK_SD\n\nChecksum MD5: {md5}",
            "type": "image/jpeg",
            "roles": ["overview"],
        }
    }


def _beside(entry: Entry, urn: str) -> dict[str, Any]:
    """Return Theia's metadata file, which has the same role as the zip next to it."""
    if not isinstance(entry.product, theia.Scene):
        return {}
    name, md5 = f"{entry.name}_MTD_ALL.xml", hashlib.md5(entry.name.encode()).hexdigest()
    href = f"{_PORTAL}/download/{urn}/files/{md5}"
    return {name: {"href": href, "title": name, "type": "application/xml", "roles": ["data"]}}


def _properties(entry: Entry) -> dict[str, Any]:
    """Return the fields of each collection, with the service's own spellings and fill values."""
    match entry.product:
        case l2a.Product() as surface:
            scene = surface.scene
            return {
                "platform": scene.platform,
                "instrument": "MSI",
                "product:type": "S2MSI2A",
                "processing:level": "L2A",
                "eo:cloud_cover": scene.cloudiness * 100,
                "proj:shape": [sentinel2_xml.PIXELS, sentinel2_xml.PIXELS],
            }
        case l1c.Scene() as scene:
            return {
                "platform": scene.platform,
                "instrument": "MSI",
                "product:type": "S2MSI1C",
                "processing:level": "L1C",
                "processing:version": scene.baseline,
                "grid:code": f"T{scene.tile}",
                "eo:cloud_cover": scene.cloudiness * 100,
                "sar:instrument_mode": "INS-NOBS",
                "sat:orbit_state": "Descending",
                "sat:relative_orbit": 51,
                "sat:absolute_orbit": scene.orbit,
                "s2:datatake_id": f"G{scene.platform}_{scene.time:%Y%m%dT%H%M%S}_{scene.orbit:06d}_N{scene.baseline}",
                "latest": scene.latest,
                "proj:shape": [
                    sentinel2_xml.PIXELS,
                    sentinel2_xml.PIXELS,
                ],  # not a field of the service: the scenes are cut out of tiles
            }
        case grd.Product() | slc.Product() | earthquake.Product() | ocn.Product() as radar:
            mode, kind = radar.name.split("_")[1:3]
            return {
                "platform": radar.name[:3],
                "instrument": "SAR-C SAR",
                "product:type": kind[:3],
                "processing:level": "L2" if kind == "OCN" else "L1",
                "sar:instrument_mode": mode,
                "sar:polarizations": "VV" if kind == "OCN" or "_1SSV_" in radar.name else "VV VH",
                "sat:orbit_state": "Descending",
                "swath": mode,
                "eo:cloud_cover": 0.0,
                "proj:bbox": "",
            }
        case (
            spot.Product()
            | spot_heritage.Product()
            | theia.Scene()
            | theia_others.Radar()
            | theia_others.LandCover()
            | theia_others.LeafArea()
            | hills.Model()
            | waves.Waves() as other
        ):
            return other.properties
        case products.Product() as track:
            return {
                "platform": track.name[:3],
                "instrument": "SRAL",
                "product:type": track.name[4:15],
                "processing:level": f"L{track.kind[3]}",
                "eo:cloud_cover": 0.0,
            }


def _footprint(entry: Entry) -> list[list[float]]:
    """Return the polygon of the product in degrees, closed."""
    ring = l1c.ring(entry.product) if isinstance(entry.product, l1c.Scene) else entry.product.footprint
    return [[round(x, 7), round(y, 7)] for x, y in ring]


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def _json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
