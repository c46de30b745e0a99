"""Sentinel-1 on the grid of Sentinel-2, made by S1Tiling: a GeoTIFF for each polarisation, and masks of its border.

Based on the public documentation of S1Tiling and on names of files in the datalake that readers have published. The
files contain their grid; calibration and no data follow the documentation where files do not declare them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pystac
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.products import addresses, header, packed
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.location import locate

# s1a_31TCJ_vv_DES_110_20200108txxxxxx_NormLim.tif, and as in the datalake:
# S1A_L1ORT_31TCJ_VV_GAM_DES_110_20200108T060000.tif
_FILE = re.compile(
    r"(?P<platform>s1[a-d])_(?:L1ORT_)?(?P<tile>\d\d[A-Z]{3})_(?P<polarisation>[vh]{2})(?:_(?P<calibration>[a-z]{3}))?"
    r"_(?P<orbit>ASC|DES)_(?P<track>\d{3})_(?P<day>\d{8})t(?P<clock>\d{6}|x{6})(?P<more>(?:_(?!BorderMask)[A-Za-z]+)*)"
    r"(?P<mask>_BorderMask)?\.tiff?",
    re.IGNORECASE,
)
# The calibration, by the words of the tag CALIBRATION and of file names: quantity, and a note.
_SIGMA, _GAMMA, _BETA = "sigma0", "gamma0", "beta0"
_PLAIN = "over the ellipsoid, slopes not corrected"
_CALIBRATIONS = {
    "sigma": (_SIGMA, _PLAIN),
    "sig": (_SIGMA, _PLAIN),
    "normlim": (_SIGMA, "terrain-flattened by the local incidence angle (NormLim)"),
    "gamma": (_GAMMA, _PLAIN),
    "gam": (_GAMMA, _PLAIN),
    "gamma_naught_rtc": (_GAMMA, "radiometrically terrain-corrected (GammaNaughtRTC)"),
    "gammanaughtrtc": (_GAMMA, "radiometrically terrain-corrected (GammaNaughtRTC)"),
    "beta": (_BETA, ""),
    "bet": (_BETA, ""),
}
# CF has a name only for the first quantity.
_STANDARD = {_SIGMA: "surface_backwards_scattering_coefficient_of_radar_wave"}
_NODATA = 0.0  # S1Tiling's default, if a file declares none
_CLASSES = [{"value": 0, "name": "border"}, {"value": 1, "name": "valid"}]


@dataclass(frozen=True)
class _File:
    """One GeoTIFF: the path by which GDAL opens it, its range in a zip, its product, and the parts of its name."""

    path: str
    stored: tuple[int, int] | None
    product: str
    name: str
    said: dict[str, str | None]

    @property
    def variant(self) -> str:
        return (self.said["more"] or "").lower()


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its collection, its name, or the names of its files."""
    names = [name_of(item), *(a.href.rsplit("/", 1)[-1] for a in item.assets.values())]
    return _is_theias(item) or any(_FILE.fullmatch(n) or _FILE.fullmatch(f"{n}.tif") for n in names)


def _is_theias(item: pystac.Item) -> bool:
    """Whether an Item belongs to the collection that GEODES describes as sigma0."""
    return str(item.collection_id or item.properties.get("dataset") or "").startswith("THEIA_S1TILING")


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item: ``vv``, ``vh`` (linear backscatter) and ``vv_border``, ``vh_border`` if there are masks.

    The header of each image is read. If there are several images of one polarisation, such as before and after
    filtering, the plain one has the short name, and the others have a suffix: ``vv_filtered``. A band Item is returned
    unchanged.
    """
    if bands_.is_band_item(item):
        return item
    files = list(_files(item))
    images = sorted((f for f in files if not f.said["mask"]), key=lambda f: (f.said["polarisation"] or "", f.variant))
    if not images:
        raise GeodesError(f"{name_of(item)} has no image with a name of S1Tiling (s1a_31TCJ_vv_DES_…tif).")
    if len({(f.said["tile"], f.said["day"], f.said["track"], f.said["platform"]) for f in images}) > 1:
        raise GeodesError(
            f"{name_of(item)} contains images of several acquisitions: give the files of one acquisition."
        )
    band_item = item.clone()
    band_item.assets = {}
    masks = {(f.said["polarisation"] or "").lower() + f.variant: f for f in files if f.said["mask"]}
    first = None
    for file in images:
        head = header.read(file.path, f"{file.name} of {name_of(item)}")
        first = first or (file, head)
        polarisation = (file.said["polarisation"] or "").lower()
        key = polarisation if polarisation not in band_item.assets else polarisation + file.variant
        quantity, about = _calibration(file, head, "sigma" if _is_theias(item) else "")
        source = RasterSource(
            file.path, name_of(item), key, head.epsg, head.transform, head.shape, head.dtype, stored=file.stored,
            nodata=_NODATA if head.nodata is None else head.nodata,
        )  # fmt: skip
        title = f"{polarisation.upper()} backscatter, {quantity}" + (f", {about}" if about else "")
        band_item.assets[key] = bands_.asset(
            source, common_name=None, wavelength=None, title=title, media_type=pystac.MediaType.GEOTIFF
        )
        band_item.assets[key].extra_fields |= {"sar:polarizations": [polarisation.upper()], "geodes:quantity": quantity}
        if mask := masks.get(polarisation + file.variant) or masks.get(polarisation):
            source = RasterSource(
                mask.path,
                name_of(item),
                f"{key}_border",
                head.epsg,
                head.transform,
                head.shape,
                "uint8",
                stored=mask.stored,
            )
            asset = bands_.asset(
                source, common_name=None, wavelength=None, title=f"Border of {key}", media_type=pystac.MediaType.GEOTIFF
            )
            asset.roles = ["data-mask"]
            asset.extra_fields["classification:classes"] = _CLASSES
            band_item.assets[f"{key}_border"] = asset
    assert first
    band_item.properties |= _properties(*first)
    start, end = _times(*first)
    band_item.datetime = start
    band_item.properties |= {
        "start_datetime": pystac.utils.datetime_to_str(start),
        "end_datetime": pystac.utils.datetime_to_str(end),
    }
    return band_item


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as one node, ``r10m``.

    Linear backscatter without unit, NaN where there is no data, and the masks.
    """
    unpacked = unpack(item)
    about = {key: _attributes(asset) for key, asset in unpacked.assets.items()}
    resolution = next(iter(unpacked.assets.values())).extra_fields["gsd"]
    attrs = {
        "title": name_of(unpacked),
        "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
        "source": unpacked.properties["geodes:source"],
        "Conventions": "CF-1.11",
        **unpacked.properties["geodes:processing"],
    }
    nodes = {"/": xr.Dataset(attrs=attrs), f"/r{resolution:g}m": bands_.dataset(unpacked, list(about), about)}
    return xr.DataTree.from_dict(nodes)


def _attributes(asset: pystac.Asset) -> dict[str, Any]:
    if "classification:classes" in asset.extra_fields:
        classes = asset.extra_fields["classification:classes"]
        return {
            "long_name": asset.title,
            "flag_values": [c["value"] for c in classes],
            "flag_meanings": " ".join(c["name"] for c in classes),
        }
    standard = _STANDARD.get(asset.extra_fields["geodes:quantity"])
    return {"long_name": asset.title, "units": "1", **({"standard_name": standard} if standard else {})}


def _files(item: pystac.Item) -> Iterator[_File]:
    """Yield the GeoTIFFs of a product: members of its zip or folder, or separate assets."""
    places = [locate(addresses.of(a)) for a in item.assets.values()]
    loose = [(p, matched) for p in places if (matched := _FILE.fullmatch(p.name))]
    for place, matched in loose:
        yield _File(place.gdal, None, place.href, place.name, matched.groupdict())
    if not loose:
        archive = packed.archive(item)
        for path in archive.matching(r"[^/]+"):
            if matched := _FILE.fullmatch(path.rsplit("/", 1)[-1]):
                yield _File(
                    archive.gdal(path), archive.range(path), archive.place.href, matched[0], matched.groupdict()
                )


def _calibration(file: _File, head: header.Header, default: str) -> tuple[str, str]:
    words = [head.tags.get("CALIBRATION"), *file.variant.split("_"), file.said["calibration"], default]
    for word in words:
        if word and word.lower() in _CALIBRATIONS:
            return _CALIBRATIONS[word.lower()]
    raise GeodesError(
        f"{file.name} does not say whether it is sigma0, gamma0 or beta0, neither in its tags nor in its name, so the "
        "meaning of its numbers is unknown: open it with rasterio."
    )


def _times(file: _File, head: header.Header) -> tuple[datetime, datetime]:
    """Return the begin of the first and of the last Sentinel-1 image in a product; the day if nothing more is known."""
    matched = []
    for tag in ("ACQUISITION_DATETIME_1", "ACQUISITION_DATETIME", "ACQUISITION_DATETIME_2"):
        digits = re.sub(r"\D", "", head.tags.get(tag, ""))[:14]
        if len(digits) == 14:
            matched.append(datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC))
    if not matched:
        clock = str(file.said["clock"]).lower().replace("x", "0")
        matched = [datetime.strptime(f"{file.said['day']}{clock}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)]
    return min(matched), max(matched)


def _properties(file: _File, head: header.Header) -> dict[str, Any]:
    tags = ("CALIBRATION", "NOISE_REMOVED", "INPUT_S1_IMAGES", "DEM_INFO", "TIFFTAG_SOFTWARE")
    return {
        "geodes:source": file.product,
        "geodes:processing": {k.lower(): head.tags[k] for k in tags if head.tags.get(k)},
        "platform": str(file.said["platform"]).upper(),
        "grid:code": f"MGRS-{file.said['tile']}",
        "sat:orbit_state": {"ASC": "ascending", "DES": "descending"}[str(file.said["orbit"]).upper()],
        "sat:relative_orbit": int(file.said["track"] or 0),
        "proj:code": f"EPSG:{head.epsg}",
    }
