"""Sentinel-2 as Theia gives it (MAJA L2A, WASP L3A): a zip of GeoTIFFs whose nodata and scale only the XML tells."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pystac
import xarray as xr

from geodes_lab.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel2_bands import BANDS
from geodes_lab.source import Source

_NAME = re.compile(r"SENTINEL2[A-DX]_\d{8}-\d{6}-\d{3}_L[23]A_T\w{5}_\w_V\d")
# Kinds of reflectance: the first that a product has is the one that common names mean.
_KINDS = {
    "FRE": "surface reflectance, corrected for slopes",
    "FRC": "surface reflectance of a month, corrected for slopes",
    "SRE": "surface reflectance",
}
# Bits of the masks, from the least, as CNES and CESBIO document them; what is not named here is not masked by.
_MASKS: dict[str, tuple[str, tuple[tuple[str, int, int], ...]]] = {
    "CLM": ("Clouds and their shadows", (("cloud", 1, 1), ("cloud_shadow", 2, 2), ("cirrus", 7, 1))),
    "MG2": (
        "Geophysical mask",
        (("water", 0, 1), ("snow", 2, 1), ("topographic_shadow", 4, 1), ("hidden", 5, 1), ("sun_too_low", 6, 2)),
    ),
    "EDG": ("Edge of the image", (("edge", 0, 1),)),
    "SAT": ("Saturated pixels, a bit for each band", (("saturated", 0, 8),)),
}


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its collection."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    return bool(_NAME.match(name_of(item))) or bool(re.match(r"THEIA_REFLECTANCE_SENTINEL2_L[23]A", collection))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product: grids, nodata and quantification from its own XML, which alone is read.

    Bands are named ``FRE_B4``, ``SRE_B4`` (``FRC_B4`` in L3A); ``B4``, ``B04`` and ``red`` mean the one corrected for
    slopes. Masks are ``CLM_R1`` (10 m), ``CLM_R2`` (20 m) and so on. A band Item is given back as it is.
    """
    if any("proj:transform" in a.extra_fields for a in item.assets.values()):
        return item
    archive = packed.archive(item)
    member = archive.find(r"[^/]+_MTD_ALL\.xml", "product metadata (*_MTD_ALL.xml)")
    try:
        root = ET.fromstring(archive.read(member))
    except ET.ParseError as error:
        raise GeodesError(
            f"{member} in {archive.place.href} is not valid XML ({error}); fetch the product again."
        ) from error
    name = member.rsplit("/", 1)[-1].removesuffix("_MTD_ALL.xml")
    epsg, grids = _grids(root, archive)
    made = item.clone()
    made.id = name
    made.properties |= {
        "identifier": name,
        "geodes:source": archive.place.href,
        "processing:level": "L3A" if "_L3A_" in name else "L2A",
        "processing:version": name.rsplit("_V", 1)[-1].replace("-", "."),
        "grid:code": f"MGRS-{name.split('_')[3][1:]}",
        "proj:code": f"EPSG:{epsg}",
    }
    made.datetime = pystac.utils.str_to_datetime(_text(root, "ACQUISITION_DATE", archive))
    scale = 1 / float(_text(root, "REFLECTANCE_QUANTIFICATION_VALUE", archive))
    special = {e.get("name"): float(e.text or "nan") for e in root.iter("SPECIAL_VALUE")}
    if "nodata" not in special:
        raise GeodesError(f"{member} in {archive.place.href} does not say its nodata: the reflectance would be wrong.")
    made.assets = {}
    plain = Source("", name, "", epsg, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (1, 1), nodata=special["nodata"], scale=scale)
    main = next((kind for kind in _KINDS if archive.matching(rf"[^/]+_{kind}_B\w+\.tif")), None)
    for kind, band, path in _files(archive, r"[^/]+_(FRE|SRE|FRC)_(B\d+A?)\.tif"):
        known = next(b for b in BANDS if b.name.replace("B0", "B") == band)
        transform, shape = grids["R1" if known.resolution == 10 else "R2"]
        source = replace(_of(archive, path, plain), band=f"{kind}_{band}", transform=transform, shape=shape)
        title = f"{known.title} ({band}), {_KINDS[kind]}"
        common = known.common_name if kind == main else None
        asset = bands_.asset(
            source, common_name=common, wavelength=known.wavelength, title=title, media_type=pystac.MediaType.GEOTIFF
        )
        if kind == main:  # under the names that ESA and MAJA give it
            asset.extra_fields["geodes:names"] = list(dict.fromkeys((band, known.name)))
        made.add_asset(source.band, asset)
    for kind, group, path in _files(archive, r"[^/]+_(CLM|MG2|EDG|SAT)_(R[12])\.tif"):
        transform, shape = grids[group]
        source = replace(
            _of(archive, path, plain), band=f"{kind}_{group}", transform=transform, shape=shape, scale=1.0,
            dtype="uint8", nodata=None,
        )  # fmt: skip
        title, fields = _MASKS[kind]
        asset = bands_.asset(
            source, common_name=None, wavelength=None, title=title, media_type=pystac.MediaType.GEOTIFF
        )
        asset.roles = ["data-mask"]
        if group == "R1":  # that of 20 m says the same
            asset.extra_fields["classification:bitfields"] = [
                {"name": n, "offset": offset, "length": length, "classes": []} for n, offset, length in fields
            ]
        made.add_asset(source.band, asset)
    if main is None:
        raise GeodesError(f"{archive.place.href} has no reflectance (FRE, SRE or FRC): the product is incomplete.")
    return made


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as ``r10m`` and ``r20m``: surface reflectance by common name, and the masks of that resolution.

    Each node has the reflectance corrected for slopes; ``r10m/sre`` and ``r20m/sre`` the other, where there are both.
    """
    unpacked = unpack(item)
    attrs = {
        "title": name_of(unpacked),
        "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
        "source": unpacked.properties["geodes:source"],
        "Conventions": "CF-1.11",
    }
    nodes: dict[str, Any] = {"/": xr.Dataset(attrs=attrs)}
    for resolution in (10, 20):
        here = {k: a for k, a in unpacked.assets.items() if a.extra_fields["gsd"] == resolution}
        common = {
            k: b["eo:common_name"] for k, a in here.items() for b in a.extra_fields["bands"] if "eo:common_name" in b
        }
        masks = {k: k.split("_")[0].lower() for k in here if k.split("_")[0] in _MASKS}
        others = {k: k.split("_")[1] for k in here if k not in common and k not in masks}
        for path, names in ((f"/r{resolution}m", {**common, **masks}), (f"/r{resolution}m/sre", others)):
            if names:
                about = {k: _attributes(here[k], k in masks) for k in names}
                nodes[path] = bands_.dataset(unpacked, list(names), about).rename(names)
    return xr.DataTree.from_dict(nodes)


def _attributes(asset: pystac.Asset, is_mask: bool) -> dict[str, Any]:
    if not is_mask:
        return {"standard_name": "surface_bidirectional_reflectance", "long_name": asset.title, "units": "1"}
    fields = asset.extra_fields.get("classification:bitfields", [])
    attrs: dict[str, Any] = {"long_name": asset.title}
    if fields:
        attrs["flag_masks"] = [((1 << f["length"]) - 1) << f["offset"] for f in fields]
        attrs["flag_meanings"] = " ".join(f["name"] for f in fields)
    return attrs


def _files(archive: Archive, pattern: str) -> Iterator[tuple[str, str, str]]:
    """Kind, band or group of resolution, and path of the files of a product."""
    for path in archive.matching(pattern):
        found = re.search(pattern + "$", path)
        assert found
        yield found[1], found[2], path


def _of(archive: Archive, path: str, like: Source) -> Source:
    return replace(like, href=archive.gdal(path), stored=archive.range(path))


def _text(root: ET.Element, tag: str, archive: Archive) -> str:
    found = root.findtext(f".//{tag}")
    if not found:
        raise GeodesError(f"The metadata of {archive.place.href} has no {tag}: it is no product of Theia, or damaged.")
    return found.strip()


def _grids(
    root: ET.Element, archive: Archive
) -> tuple[int, dict[str, tuple[tuple[float, float, float, float, float, float], tuple[int, int]]]]:
    """EPSG code, and transform and shape by group of resolution (R1: 10 m, R2: 20 m)."""
    try:
        grids = {}
        for group in root.iter("Group_Geopositioning"):
            x, y, dx, dy = (float(group.findtext(t, "")) for t in ("ULX", "ULY", "XDIM", "YDIM"))
            shape = int(group.findtext("NROWS", "")), int(group.findtext("NCOLS", ""))
            grids[str(group.get("group_id"))] = ((dx, 0.0, x, 0.0, dy, y), shape)
        code = _text(root, "HORIZONTAL_CS_CODE", archive).upper().removeprefix("EPSG:")
        return int(code), {group: grids[group] for group in ("R1", "R2")}
    except (KeyError, ValueError) as error:
        raise GeodesError(
            f"The metadata of {archive.place.href} do not say where its grid lies ({error!r}); fetch the product again."
        ) from error
