"""What is seen of a pixel under the mouse: longitude, latitude and value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.plot.frames import words

_DEGREE = 4  # of the polynomials that turn x and y into degrees
_EXACT = 1e-5  # degrees: a metre
_PLACE = """
const [u, v] = [(special_vars.x - %(x)s) / %(wide)s, (special_vars.y - %(y)s) / %(high)s];
let sum = 0, number = 0;
for (let i = 0; i <= %(degree)s; i++)
  for (let j = 0; i + j <= %(degree)s; j++) sum += %(terms)s[number++] * u ** i * v ** j;
return `${Math.abs(sum).toFixed(5)}° ${sum < 0 ? "%(minus)s" : "%(plus)s"}`;
"""
# A picture has 256 levels of each band; what is at their ends may be beyond them.
_LEVELS = """
const [low, high] = %(limits)s[+format], level = (value >>> (8 * +format)) & 255;
if (value >>> 24 === 0) return "no data";
const real = low + (level / 255) ** %(gamma)s * (high - low);
return (level === 0 ? "≤ " : level === 255 ? "≥ " : "") + real.toPrecision(3);
"""
_SCALED = """
return isNaN(value) ? "no data" : `${+(value * %(times)s + %(plus)s).toPrecision(5)}`;
"""


def value(data: xr.Dataset, label: str) -> Any:
    """Return the hook of holoviews that shows place and value of a map."""
    return _hook(_places(data), [label or "value"], scaled(1.0, 0.0))


def bands(data: xr.Dataset, limits: Sequence[tuple[float, float]], gamma: float) -> Any:
    """Return the hook that shows place and values of a picture of three bands, as exactly as the screen has them."""
    return _hook(_places(data), list(data.attrs["bands"]), levels(limits, gamma))


def sides(data: xr.Dataset, at: Any, codes: Sequence[str], names: Sequence[str]) -> Any:
    """Return the hook for two maps in one frame.

    Parameters
    ----------
    data
        One of them.
    at
        Returns the border's x from the value of the slider; None: of the last map that was made.
    codes
        How the values of the left and of the right one are shown.
    names
        Of what they show.
    """
    west = 1 if data.x.values[0] <= data.x.values[-1] else -1
    code = f"if ((special_vars.x - border) * {west} <= 0) {{ {codes[0]} }} else {{ {codes[1]} }}"
    return _hook(_places(data), names, code, at)


def levels(limits: Sequence[tuple[float, float]], gamma: float) -> str:
    """Return the code that shows the values of a picture."""
    return _LEVELS % {"limits": json.dumps([list(map(float, pair)) for pair in limits]), "gamma": float(gamma)}


def scaled(times: float, plus: float) -> str:
    """Return the code that shows a value."""
    return _SCALED % {"times": float(times), "plus": float(plus)}


def _hook(places: dict[str, str], names: Sequence[str], code: str, at: Any = None) -> Any:
    # Names are others' texts: bokeh would take an @ or a $ in one for a column.
    plain = [words(name).replace("@", "").replace("$", "") for name in names]

    def hook(plot: Any, element: Any) -> None:
        from bokeh.models import CustomJSHover, HoverTool

        if "glyph_renderer" not in plot.handles:
            return
        key = plot.current_key[0] if plot.current_key else None
        # The value of the slider; a single frame has none, but a number of its own.
        border = {"border": float(at(key if isinstance(key, float) else None)) if at is not None else 0.0}
        there = next((tool for tool in plot.state.tools if tool.name == "place"), None)
        if there is not None:
            there.formatters["@image"].args = border
            return
        axes = [("longitude", "$x{custom}"), ("latitude", "$y{custom}")] if places else [("x", "$x"), ("y", "$y")]
        rows = [(name, f"@image{{{number}}}") for number, name in enumerate(plain)]
        formatters: dict[str, Any] = {name: CustomJSHover(code=text) for name, text in places.items()}
        formatters["@image"] = CustomJSHover(code=code, args=border)
        renderers = [plot.handles["glyph_renderer"]]
        plot.state.add_tools(
            HoverTool(name="place", tooltips=[*axes, *rows], formatters=formatters, renderers=renderers)
        )

    return hook


def _places(data: xr.Dataset) -> dict[str, str]:
    """Return the code for longitude and latitude; empty if the map has no CRS, or reaches too far."""
    import rioxarray  # noqa: F401  (registers .rio)
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    crs = data.rio.crs if "spatial_ref" in data.coords else None
    if crs is None:
        return {}
    x, y = (np.linspace(float(data[d].values[0]), float(data[d].values[-1]), 9) for d in ("x", "y"))
    across, down = np.meshgrid(x, y)
    try:
        transformer = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
        lon, lat = transformer.transform(across, down, errcheck=True)
    except (ProjError, ValueError):
        return {}
    middle, size = (x.mean(), y.mean()), (max(np.ptp(x), 1e-9), max(np.ptp(y), 1e-9))
    u, v = (across - middle[0]) / size[0], (down - middle[1]) / size[1]
    powers = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
    columns = np.stack([(u**i * v**j).ravel() for i, j in powers], -1)
    codes = {}
    for axis, values, signs in (("$x", lon, "WE"), ("$y", lat, "SN")):
        terms, *_ = np.linalg.lstsq(columns, values.ravel(), rcond=None)
        if not np.isfinite(values).all() or np.abs(columns @ terms - values.ravel()).max() > _EXACT:
            return {}
        codes[axis] = _PLACE % {
            "x": middle[0], "y": middle[1], "wide": size[0], "high": size[1], "degree": _DEGREE,
            "terms": json.dumps(terms.tolist()), "minus": signs[0], "plus": signs[1],
        }  # fmt: skip
    return codes
