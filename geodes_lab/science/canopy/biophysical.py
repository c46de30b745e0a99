"""LAI, FAPAR, FCOVER, chlorophyll and water of canopies, from the surface reflectance of Sentinel-2."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from geodes_lab import arguments
from geodes_lab.cube.opening import Product, open_cube
from geodes_lab.errors import GeodesError
from geodes_lab.products.sentinel2.bands import BANDS as MSI
from geodes_lab.science.canopy import network as networks
from geodes_lab.science.canopy.network import ANGLES, BANDS, MEANINGS, NAMES, Name

Variable = Literal["lai", "fapar", "fcover", "ccc", "cwc"]
VARIABLES = get_args(Variable)

RESOLUTION = 20.0
"""Metres: the pixels of the bands that the networks were trained for."""

_ABOUT: dict[str, dict[str, str]] = {
    "lai": {"standard_name": "leaf_area_index", "long_name": "Leaf area index (green, effective)", "units": "1"},
    "fapar": {
        "standard_name": "fraction_of_surface_downwelling_photosynthetic_radiative_flux_absorbed_by_vegetation",
        "long_name": "Fraction of the photosynthetically active radiation that green vegetation absorbs",
        "units": "1",
    },
    "fcover": {
        "standard_name": "vegetation_area_fraction",
        "long_name": "Fraction of the ground that green vegetation covers, seen from above",
        "units": "1",
    },
    "ccc": {"long_name": "Canopy chlorophyll content, LAI times chlorophyll a and b of the leaves", "units": "ug cm-2"},
    "cwc": {"long_name": "Canopy water content, LAI times water of the leaves", "units": "g cm-2"},
}
# Names by which a cube may have a band; the first that is there is used.
_NAMES = {
    b.name: (b.name, b.name.replace("B0", "B"), b.common_name or b.name, f"{b.name}_20m")
    for b in MSI
    if b.name in BANDS
}


def biophysical(
    source: xr.Dataset | Product | Sequence[Product],
    variables: Sequence[Variable] | Variable = ("lai",),
    *,
    network: Name = "sl2p-2.1",
    invalid: Literal["keep", "mask"] = "keep",
    bbox: tuple[float, float, float, float] | Sequence[float] | None = None,
    geometry: Any = None,
    mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None = None,
    groupby: Literal["pass", "solar_day", "item"] = "pass",
    chunks: Any = None,
) -> xr.Dataset:
    """Estimate what a canopy has from Sentinel-2's surface reflectance (level 2A), with published neural networks.

    Parameters
    ----------
    source
        A cube of `geodes_lab.open_cube`, or products of level 2A (ESA's, or Theia's by MAJA): Items, dictionaries of
        Items, paths or URLs, one or a list of them. Products are opened on their own grid at 20 m. A cube needs the
        bands ``B03``, ``B04``, ``B05``, ``B06``, ``B07``, ``B8A``, ``B11``, ``B12`` (or their common names) as
        reflectance, and the angles ``sun_zenith``, ``view_zenith`` and either ``relative_azimuth`` or both
        ``sun_azimuth`` and ``view_azimuth``, in degrees; lazy or not.
    variables
        One or several of ``"lai"`` (leaf area index, m² per m²), ``"fapar"`` and ``"fcover"`` (fractions, 0 to 1),
        ``"ccc"`` (canopy chlorophyll content, µg cm⁻²) and ``"cwc"`` (canopy water content, g cm⁻²).
    network
        ``"sl2p-2.1"``: the networks of the Sentinel-2 toolbox (Weiss, Baret and Jay 2020), of which their authors
        published test cases. ``"sl2p-ccrs"``: the same method trained again (Fernandes et al. 2024).
    invalid
        What becomes of values whose flag says that the input is outside of the definition domain, or that the output
        is too low or too high: ``"keep"`` leaves the network's number, ``"mask"`` makes it NaN.
    bbox, geometry, mask, groupby, chunks
        For products: see `geodes_lab.open_cube`. A mask such as ``{"SCL": [0, 1, 3, 8, 9, 10]}`` (ESA) or ``["cloud",
        "cloud_shadow"]`` (Theia) is needed for clouds: the networks do not know them.

    Returns
    -------
    xarray.Dataset
        For each variable its values (float32, NaN for no data) and ``lai_flag`` and so on (uint8), with the dims,
        chunks and coordinates of the cube. The bits of a flag are named in ``flag_meanings``:
        ``input_out_of_range`` (the spectrum is not in the definition domain), ``output_thresholded_to_minimum`` and
        ``…_maximum`` (a little beyond the range: set to its end), ``output_too_low`` and ``output_too_high`` (further
        beyond: the number is left), ``no_data`` (an input is missing or masked), ``geometry_out_of_range`` (a zenith
        angle is beyond those of the training). 0: none of these. ``attrs`` has network, citation and software. For
        products, metadata are read; pixels are read when they are computed.

    Raises
    ------
    GeodesError
        If the product is not of level 2A, a band or angle is missing, numbers are not reflectances, or the pixels are
        smaller than 20 m.

    Notes
    -----
    The networks estimate from spectra of a homogeneous canopy over soil: over forest LAI is too low, by up to a half
    (Fernandes et al. 2024, https://doi.org/10.1016/j.rse.2024.114060), above about 4 it is uncertain, and over water,
    snow, towns and clouds it means nothing. The mean of reflectances is not that of the estimates: compute first, then
    average in time or space. There is no network for 10 m here: without the bands of the red edge and of the short-wave
    infrared it could give neither chlorophyll nor water.

    References
    ----------
    Weiss, M., Baret, F., Jay, S. (2020): S2ToolBox Level 2 products: LAI, FAPAR, FCOVER. Algorithm Theoretical Basis
    Document, version 2.1. INRAE, Avignon. https://hal.inrae.fr/hal-03584016

    Examples
    --------
    >>> import geodes_lab as gl
    >>> items = gl.search("THEIA_REFLECTANCE_SENTINEL2_L2A")                                # doctest: +SKIP
    >>> canopy = gl.biophysical(items, ["lai", "fapar"], mask=["cloud", "cloud_shadow"])    # doctest: +SKIP
    """
    wanted = arguments.names("variables", [variables] if isinstance(variables, str) else variables)
    for name in wanted:
        arguments.choice("variables", name, VARIABLES)
    if not wanted:
        raise GeodesError(f"gl.biophysical needs variables: one or several of {', '.join(VARIABLES)}.")
    arguments.choice("network", network, NAMES)
    arguments.choice("invalid", invalid, ("keep", "mask"))
    if isinstance(source, xr.Dataset):
        given = {"bbox": bbox, "geometry": geometry, "mask": mask, "chunks": chunks}
        if used := [k for k, v in given.items() if v is not None]:
            raise GeodesError(f"{used[0]}= is for products: give it to gl.open_cube, which made this cube.")
        cube = source
    else:
        cube = open_cube(
            source,
            bands=[*BANDS, *ANGLES],
            resolution=RESOLUTION,
            resampling={"B03": "average", "B04": "average"},
            bbox=bbox,
            geometry=geometry,
            mask=mask,
            groupby=groupby,
            chunks=chunks,
        )
    _refuse_others(cube)
    inputs = [_band(cube, band) for band in BANDS]
    return _estimated(cube, [*inputs, *_angles(cube)], tuple(dict.fromkeys(wanted)), network, invalid)


def _estimated(
    cube: xr.Dataset, inputs: list[xr.DataArray], wanted: tuple[str, ...], network: str, invalid: str
) -> xr.Dataset:
    computing = networks.network(network, wanted)
    arrays = xr.apply_ufunc(
        _Call(network, wanted, invalid == "mask"),
        *inputs,
        output_core_dims=[()] * (2 * len(wanted)),
        dask="parallelized",
        output_dtypes=[np.float32] * len(wanted) + [np.uint8] * len(wanted),
    )
    values, flags = arrays[: len(wanted)], arrays[len(wanted) :]
    result = xr.Dataset(attrs={k: v for k, v in cube.attrs.items() if k != "history"})
    for name, value, flag, limits in zip(wanted, values, flags, computing.variables, strict=True):
        placed = {"grid_mapping": "spatial_ref"} if "spatial_ref" in value.coords else {}
        result[name] = value.drop_attrs().assign_attrs(
            **_ABOUT[name], ancillary_variables=f"{name}_flag", valid_range=[limits.low, limits.high], **placed
        )
        result[f"{name}_flag"] = flag.drop_attrs().assign_attrs(
            long_name=f"flags of {name}",
            standard_name="status_flag",
            flag_masks=np.array([1 << n for n in range(len(MEANINGS.split()))], np.uint8),
            flag_meanings=MEANINGS,
            **placed,
        )
    hides = invalid == "mask"
    before = str(cube.attrs.get("history", ""))
    done = f"{', '.join(wanted)} by the network {network}, geodes_lab {version('geodes-lab')}"
    return result.assign_attrs(
        Conventions="CF-1.11",
        network=f"{network}: {computing.title}",
        references=computing.citation,
        software=f"geodes_lab {version('geodes-lab')}",
        history=f"{before}; {done}" if before else done,
        **({"invalid": "NaN where the input is out of range, or the output too low or too high"} if hides else {}),
    )


class _Call:
    """The computation of one chunk; it can be sent to workers, which read the networks themselves."""

    def __init__(self, network: str, wanted: tuple[str, ...], hides_invalid: bool) -> None:
        self.network, self.wanted, self.hides_invalid = network, wanted, hides_invalid

    def __call__(self, *inputs: Any) -> tuple[Any, ...]:
        computed = networks.network(self.network, self.wanted)(*np.broadcast_arrays(*inputs))
        if self.hides_invalid:
            bad = networks.INPUT_OUT_OF_RANGE | networks.TOO_LOW | networks.TOO_HIGH
            for value, flag in zip(computed[: len(self.wanted)], computed[len(self.wanted) :], strict=True):
                value[flag & bad > 0] = np.nan
        return computed


def _refuse_others(cube: xr.Dataset) -> None:
    """Refuse what is not surface reflectance, and pixels that are finer than the networks."""
    why = "the networks were trained with surface reflectance, and the air changes it: use level 2A (ESA, or Theia)"
    levels = str(cube.attrs.get("processing_level", ""))
    if re.search(r"L1", levels):
        raise GeodesError(f"The cube has products of level {levels}: {why}.")
    if "product" in cube.coords:
        for name in map(str, np.atleast_1d(cube["product"].values)):
            if re.search(r"MSIL1C|_L1C(_|$)", name):
                raise GeodesError(f"{name.split()[0]} is of level 1C, reflectance at the top of the atmosphere: {why}.")
    if any(str(v.attrs.get("standard_name", "")).startswith("toa_") for v in cube.data_vars.values()):
        raise GeodesError(f"The cube has reflectance at the top of the atmosphere: {why}.")
    if "spatial_ref" not in cube.coords or not {"x", "y"} <= set(cube.coords):
        return
    grid = arguments.grid("source", cube)
    if not grid.crs.geographic and (size := min(abs(grid.affine.a), abs(grid.affine.e))) < RESOLUTION - 1e-6:
        raise GeodesError(
            f"The cube has pixels of {size:g} m, and the networks are for 20 m: most of their bands have no finer "
            "pixels. Open the cube with resolution=20 and resampling={'B03': 'average', 'B04': 'average'}."
        )


def _band(cube: xr.Dataset, band: str) -> xr.DataArray:
    name = next((n for n in _NAMES[band] if n in cube.data_vars), None)
    if name is None:
        raise GeodesError(
            f"The cube has no band {' or '.join(_NAMES[band][:3:2])}: open it with bands={[*BANDS, *ANGLES]!r}, or "
            "give the products instead of a cube."
        )
    values = cube[name]
    if values.dtype.kind != "f":
        raise GeodesError(
            f"{name} has the type {values.dtype}, so it is not a reflectance: give reflectances (0 to 1, offset "
            "applied), as gl.open_cube does."
        )
    return values


def _angles(cube: xr.Dataset) -> list[xr.DataArray]:
    """Return zenith angles of view and sun, and the angle between their azimuths."""
    view, sun = (_angle(cube, name) for name in ANGLES[:2])
    if "relative_azimuth" in cube.data_vars or not {"sun_azimuth", "view_azimuth"} <= set(cube.data_vars):
        return [view, sun, _angle(cube, "relative_azimuth")]
    # Only its cosine is used, which does not know whole turns.
    return [view, sun, _angle(cube, "sun_azimuth") - _angle(cube, "view_azimuth")]


def _angle(cube: xr.Dataset, name: str) -> xr.DataArray:
    if name not in cube.data_vars:
        raise GeodesError(
            f"The cube has no {name}, and the networks need the angles of each pixel: open it with "
            f"bands={[*BANDS, *ANGLES]!r}, or give the products instead of a cube."
        )
    values = cube[name]
    if str(values.attrs.get("units", "degree")) not in ("degree", "degrees", "deg"):
        raise GeodesError(f"{name} is in {values.attrs['units']}: give angles in degrees.")
    return values
