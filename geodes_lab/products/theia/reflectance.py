"""Reflectance from Theia (MAJA, WASP): zips of GeoTIFFs whose grid, scale and nodata are in their XML.

Sentinel-2, Venµs, Landsat and the Take5 of SPOT have one layout, that of the MUSCATE centre; see `muscate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pystac
import xarray as xr

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel2 import angle_bands
from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.products.theia import muscate
from geodes_lab.products.theia.muscate import Metadata
from geodes_lab.raster.source import RasterSource

# Scenes of Spot World Heritage, named by numbers of SPOT's grid (115-354-0), belong to another family.
_NAME = re.compile(
    r"(SENTINEL2[A-DX]|VENUS(-XS)?|LANDSAT\d(-\w+)*|SPOT\d(-\w+)*)_\d{8}-\d{6}-\d{3}_L(1C|2A|3A)_(?!\d{3}-\d{3}-)[^_]+_\w_V\d"
)
_COLLECTION = re.compile(
    r"THEIA_(REFLECTANCE_(SENTINEL2|VENUS_VM\d|LANDSAT\d|SPOT\d_TAKE5)_L[23]A|(VENUS_VM\d|SPOT\d_TAKE5)_L1C)"
)
KINDS = {
    "FRE": "surface reflectance, corrected for slopes",
    "FRC": "surface reflectance of a month, corrected for slopes",
    "SRE": "surface reflectance",
    "REF": "top-of-atmosphere reflectance",
}
"""Kinds of reflectance: common names mean the first kind of a product."""
# The two bands of an ATB file: key, title, units, and the metadata's terms for quantification and nodata.
_ATMOSPHERE = (
    ("WVC", "Water vapour content", "g cm-2", "WATER_VAPOR_CONTENT"),
    ("AOT", "Aerosol optical thickness", "1", "AEROSOL_OPTICAL_THICKNESS"),
)
# Bits of the masks, from the lowest, documented by CNES and CESBIO; unnamed bits are not used.
_MASKS: dict[str, tuple[str, tuple[tuple[str, int, int], ...]]] = {
    "CLM": ("Clouds and their shadows", (("cloud", 1, 1), ("cloud_shadow", 2, 2), ("cirrus", 7, 1))),
    "MG2": (
        "Geophysical mask",
        (("water", 0, 1), ("snow", 2, 1), ("topographic_shadow", 4, 1), ("hidden", 5, 1), ("sun_too_low", 6, 2)),
    ),
    "EDG": ("Edge of the image", (("edge", 0, 1),)),
    "SAT": ("Saturated pixels, a bit for each band", (("saturated", 0, 8),)),
    "FLG": ("Status of the pixels of a synthesis", ()),
}
# The classes of a pixel in a synthesis, from 0, in WASP's numbering.
_STATUS = ("no_data", "cloud", "snow", "water", "land", "cloud_shadow", "saturated")


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its collection."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    return bool(_NAME.match(name_of(item)) or _COLLECTION.match(collection))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item of a product: grids, nodata and quantification from its own XML; nothing else is read.

    Bands are named ``FRE_B4``, ``SRE_B4`` (``FRC_B4`` in L3A, ``REF_B4`` in L1C); ``B4``, ``B04`` (of Sentinel-2) and
    ``red`` mean the first of these. Masks are ``CLM_R1`` (10 m) and ``CLM_R2`` (20 m) of Sentinel-2, ``CLM_XS`` of the
    others, and so on. Sentinel-2 has the angles too, in degrees (see `geodes_lab.products.sentinel2.angle_bands`). A
    band Item is returned unchanged.
    """
    if bands_.is_band_item(item):
        return angle_bands.add_wanted(item, bands)
    archive = packed.archive(item)
    about = Metadata(archive)
    band_item = item.clone()
    band_item.id = about.name
    band_item.properties |= _properties(about) | {"geodes:source": archive.place.href}
    band_item.datetime = about.time
    scale, nodata = 1 / about.quantification(), about.nodata()
    band_item.assets = {}
    plain = RasterSource(
        "", about.name, "", about.epsg, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), (1, 1), nodata=nodata, scale=scale
    )
    matched = list(_files(archive, about, rf"({'|'.join(KINDS)})_(B\w+)"))
    if not matched:
        raise GeodesError(
            f"{archive.place.href} has no reflectance ({', '.join(KINDS)}): the product is incomplete; fetch it again."
        )
    main = next(kind for kind in KINDS if any(kind == k for k, _, _ in matched))
    wavelengths = about.wavelengths
    common = muscate.common_names({b: wavelengths[b] for _, b, _ in matched if b in wavelengths})
    for kind, band, path in matched:
        esa = next((b for b in BANDS if about.name.startswith("SENTINEL2") and b.name.replace("B0", "B") == band), None)
        grid = about.grid_of(band, esa.resolution if esa else None)
        source = replace(_of(archive, path, plain), band=f"{kind}_{band}", transform=grid.transform, shape=grid.shape)
        name = esa.common_name if esa else common.get(band)
        asset = bands_.asset(
            source,
            common_name=name if kind == main else None,
            wavelength=esa.wavelength if esa else wavelengths.get(band),
            title=f"{_title(name)} ({band}), {KINDS[kind]}",
            media_type=pystac.MediaType.GEOTIFF,
        )
        if kind == main:  # with ESA's and MAJA's names
            asset.extra_fields["geodes:names"] = list(dict.fromkeys((band, esa.name if esa else band)))
        band_item.add_asset(source.band, asset)
    for asset in (*_atmosphere(archive, about, plain), *_masks(archive, about, plain)):
        band_item.add_asset(asset.extra_fields["bands"][0]["name"], asset)
    if about.name.startswith("SENTINEL2") and about.document.root.find(".//Sun_Angles_Grids") is not None:
        grid = max(about.grids.values(), key=lambda g: g.resolution)
        like = replace(plain, transform=grid.transform, shape=grid.shape)
        angle_bands.add(band_item, archive, "muscate", like, bands)
    return band_item


def _properties(about: Metadata) -> dict[str, Any]:
    level = re.search(r"_(L(?:1C|2A|3A))_", about.name)
    zone = about.name.split("_")[3] if about.name.count("_") > 3 else ""
    return {
        "identifier": about.name,
        "processing:level": level[1] if level else "",
        "processing:version": about.name.rsplit("_V", 1)[-1].replace("-", "."),
        "proj:code": f"EPSG:{about.epsg}",
        **({"grid:code": f"MGRS-{zone[1:]}"} if re.fullmatch(r"T\d\d[A-Z]{3}", zone) else {}),
    }


def _title(common_name: str | None) -> str:
    known = {b.common_name: b.title for b in BANDS}
    return known.get(common_name) or (common_name or "Band").capitalize()


def _atmosphere(archive: Archive, about: Metadata, plain: RasterSource) -> Iterator[pystac.Asset]:
    """Yield water vapour and aerosols: two bands of a file with different scales; if the metadata have them."""
    for _, group, path in _files(archive, about, rf"(ATB)_({'|'.join(about.grids)})"):
        for index, (key, title, _, words) in enumerate(_ATMOSPHERE, 1):
            if about.document.root.find(f".//{words}_QUANTIFICATION_VALUE") is not None:
                source = replace(
                    _of(archive, path, plain),
                    band=f"{key}_{group}",
                    index=index,
                    scale=1 / about.quantification(words),
                    nodata=about.nodata(f"{words.lower()}_nodata"),
                    transform=about.grids[group].transform,
                    shape=about.grids[group].shape,
                )
                yield bands_.asset(
                    source, common_name=None, wavelength=None, title=title, media_type=pystac.MediaType.GEOTIFF
                )


def _masks(archive: Archive, about: Metadata, plain: RasterSource) -> Iterator[pystac.Asset]:
    finest = min(about.grids, key=lambda g: about.grids[g].resolution)
    for kind, group, path in _files(archive, about, rf"({'|'.join(_MASKS)})_({'|'.join(about.grids)})"):
        source = replace(
            _of(archive, path, plain), band=f"{kind}_{group}", scale=1.0, dtype="uint8", nodata=None,
            transform=about.grids[group].transform, shape=about.grids[group].shape,
        )  # fmt: skip
        title, fields = _MASKS[kind]
        asset = bands_.asset(
            source, common_name=None, wavelength=None, title=title, media_type=pystac.MediaType.GEOTIFF
        )
        asset.roles = ["data-mask"]
        if kind == "FLG" and group == finest:
            asset.extra_fields["classification:classes"] = [{"value": v, "name": n} for v, n in enumerate(_STATUS)]
        elif group == finest:  # masks at other resolutions have the same content
            asset.extra_fields["classification:bitfields"] = [
                {"name": n, "offset": offset, "length": length, "classes": []} for n, offset, length in fields
            ]
        yield asset


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as a node for each resolution: reflectance by common name, atmosphere, and masks.

    Sentinel-2 has ``r10m`` and ``r20m``, Venµs ``r5m`` or ``r10m``, Landsat ``r30m``. Each has the reflectance
    corrected for slopes; ``r10m/sre`` the other, if both exist, and ``r20m/angles`` the angles of sun and view. Bands
    without a common name have MUSCATE's.
    """
    return tree(unpack(item))


def tree(unpacked: pystac.Item) -> xr.DataTree:
    """Open a band Item whose assets have the names of `unpack`; see `open`."""
    attrs = {
        "title": name_of(unpacked),
        "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
        "source": unpacked.properties["geodes:source"],
        "processing_level": unpacked.properties["processing:level"],
        "Conventions": "CF-1.11",
    }
    nodes: dict[str, Any] = {"/": xr.Dataset(attrs=attrs)}
    for resolution in sorted({a.extra_fields["gsd"] for a in unpacked.assets.values()}):
        main, others, angles = {}, {}, {}
        for key, asset in unpacked.assets.items():
            band = asset.extra_fields["bands"][0]
            if asset.extra_fields["gsd"] != resolution:
                continue
            if angle_bands.is_angle(asset):
                angles[key] = key
            elif key.split("_")[0] not in KINDS:
                main[key] = key.split("_")[0].lower()
            elif "geodes:names" in asset.extra_fields:
                main[key] = band.get("eo:common_name") or key.split("_", 1)[1]
            else:
                others[key] = key.split("_", 1)[1]
        node = f"/r{resolution:g}m"
        for path, names in ((node, main), (f"{node}/sre", others), (f"{node}/angles", angles)):
            if names:
                about = {k: _attributes(k, unpacked.assets[k]) for k in names}
                nodes[path] = bands_.dataset(unpacked, list(names), about).rename(names)
    return xr.DataTree.from_dict(nodes)


def _attributes(key: str, asset: pystac.Asset) -> dict[str, Any]:
    kind = key.split("_")[0]
    if kind in KINDS:
        standard = "toa_bidirectional_reflectance" if kind == "REF" else "surface_bidirectional_reflectance"
        return {"standard_name": standard, "long_name": asset.title, "units": "1"}
    attrs: dict[str, Any] = {"long_name": asset.title}
    if angle_bands.is_angle(asset):
        return attrs | {"units": "degree"}
    attrs |= next(({"units": units} for name, _, units, _ in _ATMOSPHERE if name == kind), {})
    if fields := asset.extra_fields.get("classification:bitfields", []):
        attrs["flag_masks"] = [((1 << f["length"]) - 1) << f["offset"] for f in fields]
        attrs["flag_meanings"] = " ".join(f["name"] for f in fields)
    if classes := asset.extra_fields.get("classification:classes", []):
        attrs["flag_values"] = [c["value"] for c in classes]
        attrs["flag_meanings"] = " ".join(c["name"] for c in classes)
    return attrs


def _files(archive: Archive, about: Metadata, pattern: str) -> Iterator[tuple[str, str, str]]:
    """Yield kind, band or resolution group, and path of the files of a product."""
    for path in archive.matching(rf"{re.escape(about.name)}_{pattern}\.(?:tif|TIF)"):
        matched = re.search(rf"{pattern}\.(?:tif|TIF)$", path)
        assert matched
        yield matched[1], matched[2], path


def _of(archive: Archive, path: str, like: RasterSource) -> RasterSource:
    return replace(like, href=archive.gdal(path), stored=archive.range(path))
