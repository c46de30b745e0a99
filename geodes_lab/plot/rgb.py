"""A picture of three bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.plot import hover, rasterizing
from geodes_lab.plot.basemap import under
from geodes_lab.plot.frames import Frames, ready

_MOST = 1_500_000  # pixels: there are three bands
Limits = list[tuple[float, float]]


def rgb(
    data: xr.Dataset,
    bands: Sequence[str] = ("red", "green", "blue"),
    *,
    percentiles: tuple[float, float] = (2, 98),
    limits: tuple[float, float] | None = None,
    gamma: float = 1.0,
    title: str = "",
    width: int = 560,
    basemap: bool = False,
) -> Any:
    """Show three bands as a picture, with a slider if there is a time.

    Parameters
    ----------
    data
        A cube with the bands, dims ``(y, x)`` or ``(time, y, x)``; lazy or not. The first frame is computed during this
        call unless ``limits`` is given; other frames are computed and cached when they are shown.
    bands
        The bands shown as red, green and blue: ``("nir", "red", "green")`` shows vegetation in red.
    percentiles
        The percentiles of each band in the first frame that are shown as black and as full colour.
    limits
        Two values for all bands, in their units, such as ``(0, 0.3)``, instead of percentiles. Use the same limits for
        pictures that you compare.
    gamma
        The exponent of the brightness; values above 1 brighten dark parts.
    title
        The title above the picture.
    width
        Width of the picture in pixels of the screen.
    basemap
        See `geodes_lab.plot.image`.

    Returns
    -------
    holoviews.DynamicMap
        It composes with ``+`` and ``*`` like any holoviews object. Pixels without data are transparent.

    Raises
    ------
    GeodesError
        If a band is missing, the cube has other dims, or the first frame has no data and no ``limits`` are given.
    """
    rasterize = rasterizing.operation()

    ready()
    frames = Frames(three(data, bands, "gl.plot.rgb"), "gl.plot.rgb", _MOST)
    stretches = [limits] * 3 if limits else stretch(frames.show(), percentiles)

    def show(frame: xr.Dataset) -> Any:
        return picture(frame, stretches, gamma)

    axes = frames.axes(width)
    shown = rasterize(frames.dynamic(show), width=axes["frame_width"], height=axes["frame_height"])
    hooks = [hover.bands(frames.data, stretches, gamma)]
    shown = shown.opts(title=title, bgcolor="#d9d9d9", hooks=hooks, **axes)
    return under(data[bands[0]], "gl.plot.rgb") * shown if basemap else shown


def three(data: Any, bands: Sequence[str], call: str) -> xr.Dataset:
    """Return the three bands; refuse an object without them."""
    if not isinstance(data, xr.Dataset):
        raise GeodesError(f"{call} shows three bands of a Dataset, not a {type(data).__name__}.")
    if len(bands) != 3 or isinstance(bands, str):
        raise GeodesError(f"{call} shows three bands, such as bands=('red', 'green', 'blue').")
    if missing := [b for b in bands if b not in data]:
        raise GeodesError(
            f"{call} needs the bands {', '.join(bands)}, but the cube has no {missing[0]}: open the cube with that "
            f"band, or choose bands= from {', '.join(map(str, data.data_vars))}."
        )
    return data[list(dict.fromkeys(bands))].assign_attrs(bands=list(bands))


def stretch(frame: xr.Dataset, percentiles: tuple[float, float]) -> Limits:
    """Return the values that become black and full colour in each band of a frame."""
    pairs = []
    for band in frame.attrs["bands"]:
        values = frame[band].values
        if not np.isfinite(values).any():
            raise GeodesError(f"The first frame of {band} has no data: give limits=(lowest, highest).")
        low, high = np.nanpercentile(values, percentiles)
        pairs.append((float(low), float(high) if high > low else float(low) + 1.0))
    return pairs


def picture(frame: xr.Dataset, limits: Limits, gamma: float) -> Any:
    """Return a holoviews RGB of a frame: 0 to 255, transparent where a band has no data."""
    import holoviews as hv

    values = np.stack([frame[b].values for b in frame.attrs["bands"]], -1).astype("float32")
    seen = np.isfinite(values).all(-1)
    low, high = np.array(limits, "float32").T
    scaled = np.clip((values - low) / (high - low), 0, 1) ** (1 / gamma)
    colours = [np.where(seen, np.rint(scaled[..., n] * 255), 0).astype("uint8") for n in range(3)]
    return hv.RGB((frame.x.values, frame.y.values, *colours, (seen * 255).astype("uint8")), vdims=list("RGBA"))
