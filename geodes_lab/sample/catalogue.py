"""The sample's catalogue: Items as the GEODES service writes them, traps included, in a static STAC catalogue."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from odc.geo.geom import box

from geodes_lab.sample import sentinel1, sentinel2, sentinel3, truth

_PORTAL = "https://geodes-portal.cnes.fr/api"
_DATALAKE = "https://s3.datalake.cnes.fr"
_TITLES = {
    "PEPS_S1_L1": "Sentinel-1 level 1",
    "PEPS_S2_L1C": "Sentinel-2 level 1C",
    "PEPS_S3_L1": "Sentinel-3 SRAL level 1",
}


@dataclass(frozen=True)
class Entry:
    """One product and what the catalogue says of it."""

    product: sentinel1.Product | sentinel2.Scene | sentinel3.Product
    """What generates it."""
    collection: str
    """The collection's id."""
    key: str
    """The path on the datalake: bucket and key."""
    start: datetime
    """Begin of the acquisition, UTC."""
    end: datetime
    """End of the acquisition, UTC."""
    published: datetime
    """What the service calls ``datetime``."""

    @property
    def name(self) -> str:
        """The product's name."""
        return self.product.name


def entries() -> list[Entry]:
    """All products of the sample."""
    found = []
    for scene in sentinel2.scenes():
        zone, band, square = scene.tile[:2], scene.tile[2], scene.tile[3:]
        key = f"sentinel2-l1c/{zone}/{band}/{square}/{scene.time:%Y/%m/%d}/{scene.name}.zip"
        found.append(Entry(scene, "PEPS_S2_L1C", key, scene.time, scene.time, scene.generation + timedelta(hours=6.5)))
    for radar in sentinel1.products():
        key = f"sentinel1-grd/{radar.start:%Y/%m/%d}/{radar.name}.zip"
        found.append(Entry(radar, "PEPS_S1_L1", key, radar.start, radar.stop, radar.stop + timedelta(hours=3)))
    for track in sentinel3.products():
        key = f"sentinel3-sral-l1/{track.start:%Y/%m/%d}/{track.name}.zip"
        found.append(Entry(track, "PEPS_S3_L1", key, track.start, track.stop, track.stop + timedelta(days=1)))
    return found


def write(entries: list[Entry], folder: Path) -> None:
    """Write ``catalog/``: a static catalogue whose Items are those of the service; the products must lie there."""
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
        items = [_item(e, folder / "datalake" / e.key) for e in mine]
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


def _item(entry: Entry, path: Path) -> dict[str, Any]:
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
            f"{entry.name}.zip": {
                "href": f"{_PORTAL}/download/{urn}/files/{md5}",
                "title": f"{entry.name}.zip",
                "description": f"File size: {len(data)} bytes\n\nIs reference: false\n\nIs online: false\n\nDatatype: RAWDATA"
                f"\n\nChecksum MD5: {md5}",
                "type": "application/zip",
                "roles": ["data"],
            }
        },
        "links": [],
    }


def _properties(entry: Entry) -> dict[str, Any]:
    """What each collection adds, with the service's own spellings and fillers."""
    match entry.product:
        case sentinel2.Scene() as scene:
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
                    sentinel2.PIXELS,
                    sentinel2.PIXELS,
                ],  # not the service's: the scenes are cut out of tiles
            }
        case sentinel1.Product() as radar:
            return {
                "platform": radar.name[:3],
                "instrument": "SAR-C SAR",
                "product:type": "GRD",
                "processing:level": "L1",
                "sar:instrument_mode": "IW",
                "sar:polarizations": "VV VH",
                "sat:orbit_state": "Descending",
                "swath": "IW",
                "eo:cloud_cover": 0.0,
                "proj:bbox": "",
            }
        case sentinel3.Product() as track:
            return {
                "platform": track.name[:3],
                "instrument": "SRAL",
                "product:type": track.name[4:15],
                "processing:level": "L1",
                "eo:cloud_cover": 0.0,
            }


def _footprint(entry: Entry) -> list[list[float]]:
    """The polygon of the product in degrees, closed."""
    if isinstance(entry.product, sentinel2.Scene):
        west, north = entry.product.origin
        size = sentinel2.PIXELS * 10
        ring = box(west, north - size, west + size, north, f"EPSG:{truth.EPSG}").to_crs("EPSG:4326").exterior.points
    else:
        ring = entry.product.footprint
    return [[round(x, 7), round(y, 7)] for x, y in ring]


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


def _json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
