"""Ways to draw a product that its bands allow: true colour, indices, radar in decibels, by name."""

from __future__ import annotations

from typing import Any

from geodes_lab.products import assets
from geodes_lab.tiling.layer import Layer
from geodes_lab.tiling.scene import Scene

# Name, what it needs, and how it is drawn: bands, or an expression.
_COLOURS = (
    ("true-colour", ("red", "green", "blue")),
    ("false-colour", ("nir", "red", "green")),
    ("short-wave-infrared", ("swir16", "nir", "red")),
)
# Of land: percentiles of a cloudy scene are those of clouds, and leave its land dark. Colours of visible bands keep one
# range, as in the field.
_REFLECTANCE = {"red": "0,0.3", "green": "0,0.3", "blue": "0,0.3", "nir": "0,0.5", "swir16": "0,0.5"}
_INDICES = (
    ("ndvi", "nir", "red", "-0.2,0.9", "rdylgn"),
    ("ndwi", "green", "nir", "-0.6,0.6", "blues"),
    ("ndsi", "green", "swir16", "-0.5,1", "blues"),
    ("nbr", "nir", "swir22", "-0.5,0.9", "rdylgn"),
)
_RADAR = (("gamma0_vv", "-20,0"), ("gamma0_vh", "-27,-7"), ("gamma0_hh", "-20,0"), ("gamma0_hv", "-27,-7"))
_CALIBRATED = (("vv", "-20,0"), ("vh", "-27,-7"), ("hh", "-20,0"), ("hv", "-27,-7"))
_MOST = 20  # bands of a product that has no other way


def presets(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return the parameters of a request for each way, by name; metadata of the first product are read.

    A product whose bands have no usual way, such as a terrain model or a map of classes, is drawn band by band.
    """
    several: dict[str, dict[str, Any]] = {}
    for name, needed in _COLOURS:
        if keys := _keys(scene, needed):
            several[name] = {"bands": keys}
            if all(scene.is_reflectance(key) for key in keys):
                several[name]["rescale"] = [_REFLECTANCE[band] for band in needed]
    for name, high, low, rescale, colours in _INDICES:
        if keys := _keys(scene, (high, low)):
            expression = f"({keys[0]} - {keys[1]}) / ({keys[0]} + {keys[1]})"
            several[name] = {"expression": [expression], "rescale": [rescale], "colormap_name": colours}
    for name, rescale in _RADAR if any(_keys(scene, (name,)) for name, _ in _RADAR) else _CALIBRATED:
        if _keys(scene, (name,)):
            title = f"{name.replace('_', '-')}-decibel"
            several[title] = {"expression": [f"10 * log10({name})"], "rescale": [rescale]}
    if _keys(scene, ("gamma0_vv", "gamma0_vh")):
        several["radar-ratio"] = {"expression": ["gamma0_vv", "gamma0_vh", "gamma0_vv / gamma0_vh"]}
        several["radar-ratio"]["rescale"] = ["0,0.5", "0,0.1", "0,20"]
    return several or _bands(scene)


def _bands(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return a way for each band, first the one that shows most; classes and pictures have their own colours."""
    there, item = scene.names(), scene.band_item()
    if not there:
        return {}
    first = scene.chosen(Layer()).names
    several: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*first, *there][:_MOST]):
        several[name] = {"bands": [name]}
        if not (assets.is_class(item.assets[name]) or assets.is_picture(name, item.assets[name])):
            several[name]["colormap_name"] = "viridis"
    return several


def _keys(scene: Scene, names: tuple[str, ...]) -> list[str]:
    """Return the keys of some bands that an expression can name; none if one is missing."""
    keys = [scene.only(name) for name in names]
    return keys if all(key.isidentifier() for key in keys) else []
