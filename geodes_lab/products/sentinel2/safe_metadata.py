"""The metadata of a Sentinel-2 product in ESA's SAFE layout: its grids, its radiometry, its files."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

from pystac.utils import str_to_datetime

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel2.bands import BANDS, NUMBERS, TILES, Image, images
from geodes_lab.products.sentinel2.tile import Grids
from geodes_lab.raster.source import RasterSource

# Of products before December 2016 the names are longer.
_PRODUCT = r"(?i:MTD_MSIL(1C|2A)|S2\w_(OPER|USER)_MTD_SAFL(1C|2A)\w*)\.xml"
_USERS = "99.99"
"""The baseline of products that a user made."""
_TILE = r"GRANULE/[^/]+/(MTD_TL|S2\w_(OPER|USER)_MTD_L(1C|2A)\w*)\.xml"


_MEASURES = 2**15  # no number of a measure is that large


@dataclass(frozen=True)
class Safe:
    """One product of level 1C or 2A, of any baseline."""

    name: str
    """The product's name, without ``.SAFE``."""
    level: str
    """``L1C`` or ``L2A``."""
    baseline: str
    """The baseline of the processing, such as ``05.10``."""
    assumed: str
    """A sentence on a conclusion about missing metadata; empty: none."""
    platform: str
    """Such as ``sentinel-2a``."""
    start: datetime
    """Begin of the acquisition, UTC."""
    generated: str
    """When it was processed."""
    datastrip: str | None
    """Its datastrip's identifier."""
    epsg: int
    """The CRS of its tile."""
    grids: Grids
    """Transform and shape by resolution."""
    scale: float
    """Reflectance = ``number * scale + offset``."""
    offsets: tuple[float, ...]
    """By the number of the band, as reflectance; 0 before baseline 04.00."""
    nodata: float
    """The number that stands for no data."""
    saturated: float | None
    """The number for saturation; None if the product has none above all measures."""
    quantification: dict[str, float]
    """Of level 2A: the divisors of ``AOT`` and ``WVP``."""
    images: tuple[Image, ...]
    """Its images that are present."""
    missing: tuple[Image, ...]
    """The images that its metadata list and that are missing, in a partial product."""
    missing_masks: tuple[str, ...]
    """The same for its masks: names of files without suffix, such as ``MSK_CLASSI_B00``."""
    tile: str
    """The path of the tile's own metadata in the archive."""
    has_angles: bool
    """Whether those have grids of angles."""

    def source(self, archive: Archive, image: Image) -> RasterSource:
        """Describe one of its images."""
        transform, shape = self.grids[image.resolution]
        scale, offset, dtype, saturated = self.scale, 0.0, "float32", None
        if image.band in NUMBERS:
            offset, saturated = self.offsets[NUMBERS[image.band]], self.saturated
        elif image.band in self.quantification:
            scale = 1 / self.quantification[image.band]
        else:
            scale, dtype = 1.0, "uint8"
        return RasterSource(
            href=archive.gdal(image.member),
            product=self.name,
            band=image.key,
            epsg=self.epsg,
            transform=transform,
            shape=shape,
            dtype=dtype,
            scale=scale,
            offset=offset,
            nodata=self.nodata,
            saturated=saturated,
            stored=archive.range(image.member),
            tile=TILES[image.resolution],
            overviews=4,
        )


def read(archive: Archive) -> Safe:
    """Read the two XML documents of a product.

    Raises
    ------
    GeodesError
        If one is missing or damaged, or does not say how numbers become reflectance.
    """
    usual = f"MTD_MSIL{'2A' if 'L2A' in archive.name else '1C'}.xml"
    main = archive.find(_PRODUCT, f"product metadata ({usual})")
    product = Document(archive, main)
    tile = archive.find(_TILE, "tile metadata (MTD_TL.xml)")
    level = "L2A" if re.search(r"(MSI|SAF)L2A", main.rsplit("/", 1)[-1], re.IGNORECASE) else "L1C"
    prefix = "BOA" if level == "L2A" else "RADIO"
    baseline = product.text(".//PROCESSING_BASELINE")
    special = {
        e.findtext("SPECIAL_VALUE_TEXT"): e.findtext("SPECIAL_VALUE_INDEX") for e in product.root.iter("Special_Values")
    }
    try:
        offsets = {int(e.get("band_id", -1)): float(e.text or 0) for e in product.root.iter(f"{prefix}_ADD_OFFSET")}
        nodata = float(special.get("NODATA") or 0)
        saturated = float(special.get("SATURATED") or 0)
        start = str_to_datetime(product.text(".//DATATAKE_SENSING_START"))
        if not all(map(math.isfinite, (nodata, *offsets.values()))):
            raise ValueError("not finite")
    except (ValueError, OverflowError) as error:
        raise GeodesError(
            f"{prefix}_ADD_OFFSET, NODATA or DATATAKE_SENSING_START of {product.name} is damaged ({error}); fetch the "
            "product again."
        ) from error
    # Sen2Cor up to 2.9, run by a user, adds no offset and declares none; its baseline is always 99.99.
    is_users = baseline == _USERS and not offsets
    if set(offsets) != set(range(len(BANDS))) and (offsets or baseline >= "04.00") and not is_users:
        raise GeodesError(
            f"{product.name} (baseline {baseline}) has {len(offsets)} of {len(BANDS)} {prefix}_ADD_OFFSET: the "
            "reflectance would be wrong; fetch the product again."
        )
    about_tile = Document(archive, tile)
    epsg, grids = _grids(about_tile)
    divisor = _quantification(product, "BOA_" if level == "L2A" else "")
    name = _first(product, "PRODUCT_URI_2A", "PRODUCT_URI", or_else=archive.name).removesuffix(".SAFE")
    of_several = re.search(r"_T\d\d[A-Z]{3}(?=[_/])", tile) if archive.left_out else None
    if of_several:
        name += of_several[0]
    granules = [
        e
        for tag in ("Granule", "Granules")
        for e in product.root.iter(tag)
        if of_several is None or of_several[0] in e.get("granuleIdentifier", "")
    ]
    listed = _images(granules, archive)
    if not any(i.member in archive.names for i in listed):
        raise GeodesError(
            f"{archive.place.href} has none of the images that its metadata list: fetch the bands that you need."
        )
    return Safe(
        name=name,
        level=level,
        baseline=baseline,
        assumed=f"{name} was processed by a user (baseline {baseline}) and gives no offset, so none is applied."
        if is_users
        else "",
        platform=product.text(".//SPACECRAFT_NAME").lower(),
        start=start,
        generated=product.text(".//GENERATION_TIME"),
        datastrip=granules[0].get("datastripIdentifier") if granules else None,
        epsg=epsg,
        grids=grids,
        scale=1 / divisor,
        offsets=tuple(offsets.get(n, 0.0) / divisor for n in range(len(BANDS))),
        nodata=nodata,
        saturated=saturated if saturated > _MEASURES else None,
        quantification={k: _quantification(product, f"{k}_") for k in ("AOT", "WVP") if level == "L2A"},
        images=tuple(i for i in listed if i.member in archive.names),
        missing=tuple(i for i in listed if i.member not in archive.names),
        missing_masks=_missing_masks(about_tile, archive),
        tile=tile,
        has_angles=about_tile.root.find(".//Tile_Angles/Sun_Angles_Grid") is not None,
    )


def _missing_masks(tile: Document, archive: Archive) -> tuple[str, ...]:
    """Return the names, without suffix, of the masks that the tile's metadata list and that are missing."""
    there = {name.rsplit("/", 1)[-1] for name in archive.names}
    listed = (e.text.strip().rsplit("/", 1)[-1] for e in tile.root.iter("MASK_FILENAME") if e.text)
    return tuple(sorted({name.rpartition(".")[0] or name for name in listed if name not in there}))


def _images(granules: list[Element], archive: Archive) -> list[Image]:
    """Return the images that the metadata list for the tile, present or missing.

    The name of each does not depend on the others.
    """
    tags = ("IMAGE_FILE", "IMAGE_FILE_2A", "IMAGE_ID", "IMAGE_ID_2A")
    listed = [e.text.strip() for g in granules for tag in tags for e in g.iter(tag) if e.text]
    there = {m.rsplit("/", 1)[-1]: m for m in archive.matching(r"IMG_DATA/.*\.jp2")}
    names = dict.fromkeys(f"{path.rsplit('/', 1)[-1]}.jp2" for path in listed)
    return list(images(tuple(there.get(name, name) for name in names)))


def _first(document: Document, *tags: str, or_else: str) -> str:
    return next((t.strip() for t in (document.root.findtext(f".//{tag}") for tag in tags) if t and t.strip()), or_else)


def _quantification(product: Document, of: str) -> float:
    """Return the divisor of the numbers; the first products of level 2A have it under another name."""
    old = product.root.find(f".//L2A_{of}QUANTIFICATION_VALUE") is not None
    value = product.number(f".//{'L2A_' if old else ''}{of}QUANTIFICATION_VALUE")
    if value <= 0:
        raise GeodesError(f"{product.name} has {value:g} as {of}QUANTIFICATION_VALUE: fetch the product again.")
    return value


def _grids(tile: Document) -> tuple[int, Grids]:
    code = tile.epsg(".//HORIZONTAL_CS_CODE")
    try:
        sizes = {
            int(e.get("resolution", 0)): (int(e.findtext("NROWS", "")), int(e.findtext("NCOLS", "")))
            for e in tile.root.iter("Size")
        }
        origins = {
            int(e.get("resolution", 0)): tuple(float(e.findtext(t, "")) for t in ("XDIM", "YDIM", "ULX", "ULY"))
            for e in tile.root.iter("Geoposition")
        }
        value = {r: ((dx, 0.0, x, 0.0, dy, y), sizes[r]) for r, (dx, dy, x, y) in origins.items()}
        return code, {r: value[r] for r in (10, 20, 60)}
    except (KeyError, ValueError) as error:
        raise GeodesError(
            f"{tile.name} does not give the position of its grid ({error!r}); fetch the product again."
        ) from error
