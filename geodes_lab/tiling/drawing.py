"""A picture from rio-tiler's image: rescaled, with gamma, colours or classes, then encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from rio_tiler.models import ImageData

from geodes_lab.errors import GeodesError
from geodes_lab.tiling import colours
from geodes_lab.xyz import colormaps, stretch
from geodes_lab.xyz.stretch import Range

Format = Literal["png", "jpeg", "webp", "tif", "npy"]
_MEDIA = {
    "png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "tif": "image/tiff; application=geotiff",
    "npy": "application/x-binary",
}  # fmt: skip
_DRIVERS = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "tif": "GTiff", "npy": "NPY"}
_OPTIONS: dict[str, dict[str, Any]] = {"png": {"ZLEVEL": 1}, "jpeg": {"QUALITY": 85}, "webp": {"QUALITY": 85}}
_CHOSEN = "greys_r"


def picture(
    image: ImageData,
    output: str | None = None,
    *,
    ranges: Sequence[Range] | None = None,
    gamma: float = 1.0,
    colormap: str | None = None,
    is_auto: bool = False,
) -> tuple[bytes, str]:
    """Encode an image of `geodes_lab.tiling.reader.LabReader`.

    Parameters
    ----------
    image
        Of one band, or three; ``tif`` and ``npy`` take any number, and keep the numbers unless they are told a range.
    output
        The format; None: PNG where pixels are missing, else JPEG.
    ranges
        What is drawn darkest and brightest; None: from statistics of the product.
    gamma
        See `stretch.bytes_of`.
    colormap
        A map of colours, for one band.
    is_auto
        Whether statistics were asked for, even for classes.

    Returns
    -------
    bytes, str
        The file and its media type.

    Raises
    ------
    GeodesError
        If the layer cannot be drawn so.
    """
    there = ~np.ma.getmaskarray(image.array).any(axis=0)
    output = output or ("jpeg" if there.all() else "png")
    if output in ("tif", "npy") and ranges is None and colormap is None and not is_auto and gamma == 1.0:
        return image.render(img_format=_DRIVERS[output], **_placed(image, output)), _MEDIA[output]
    drawn, there = _drawn(image, there, ranges, gamma, colormap, is_auto)
    if output in ("png", "jpeg", "webp") and len(drawn) not in (1, 3):
        raise GeodesError(f"A picture shows one band or three, not {len(drawn)}: choose them, or tif or npy.")
    out = ImageData(
        np.ma.MaskedArray(drawn, mask=np.broadcast_to(~there, drawn.shape).copy()), crs=image.crs, bounds=image.bounds
    )
    has_mask = output != "jpeg" and not (output == "png" and there.all())
    content = out.render(
        add_mask=has_mask, img_format=_DRIVERS[output], **_OPTIONS.get(output, {}), **_placed(image, output)
    )
    return content, _MEDIA[output]


def _drawn(
    image: ImageData, there: Any, ranges: Sequence[Range] | None, gamma: float, colormap: str | None, is_auto: bool
) -> tuple[Any, Any]:
    """Return bytes (band, y, x), and where they are data."""
    metadata = image.metadata or {}
    known, values = metadata.get("classes") or {}, image.array
    is_class = bool(known) and ranges is None and colormap is None and not is_auto
    if is_class:
        drawn, has_colour = colours.painted(values.data[0], known)
        return drawn, there & has_colour
    drawn = stretch.bytes_of(values, ranges or metadata["range"](), stretch.checked(gamma))
    if colormap is not None:
        if len(drawn) != 1:
            raise GeodesError("A map of colours is for one band or expression: leave out colormap_name=.")
        drawn = colormaps.mapped(drawn[0], colormap)
    return drawn, there


def _placed(image: ImageData, output: str) -> dict[str, Any]:
    return {"crs": image.crs, "transform": image.transform} if output == "tif" else {}
