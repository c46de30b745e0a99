"""An image of a GRD in its own geometry, ground range: a Dataset of lines and pixels, calibrated lazily."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask.array as da
import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray

from geodes_lab.products.sentinel1 import ipf_history
from geodes_lab.products.sentinel1.annotation import Annotation
from geodes_lab.products.sentinel1.calibration import QUANTITIES
from geodes_lab.products.sentinel1.grid import Geocoded
from geodes_lab.products.sentinel1.image import Image
from geodes_lab.reading import sensor_window
from geodes_lab.storage.object_location import ObjectLocation

# ESA's tables use the area and the angle on the ellipsoid, whatever the terrain is.
TITLES = {
    "sigma0": "Backscatter coefficient sigma nought over the ellipsoid",
    "beta0": "Radar brightness beta nought",
    "gamma0": "Backscatter coefficient gamma nought over the ellipsoid",
    "incidence": "Incidence angle on the ellipsoid",
    "gamma0_rtc": "Backscatter coefficient gamma nought, terrain-flattened",
    "local_incidence_angle": "Local incidence angle: to the normal of the terrain",
    "layover_shadow_mask": "Layover and shadow",
}
"""Long names of the quantities."""


def choices(image: Image, is_first: bool) -> Iterator[tuple[str, str | None]]:
    """Yield the quantities of an image, with the noise that is subtracted, if any."""
    for quantity in QUANTITIES:
        yield quantity, None
        if image.noise:
            yield quantity, image.noise
    if is_first:
        yield "incidence", None


def node(place: ObjectLocation, image: Image, version: str) -> xr.Dataset:
    """Return the Dataset of one polarisation; see `geodes_lab.products.sentinel1.grd.open`.

    Parameters
    ----------
    place
        The product.
    image
        One of its images.
    version
        Of ESA's processor.
    """
    annotation, dims = image.annotation, ("line", "pixel")
    rows, cols = annotation.shape
    numbers = sensor_window.lazy(image.source, "uint16")
    coords = {
        "line": np.arange(rows),
        "pixel": np.arange(cols),
        "azimuth_time": (
            "line",
            annotation.start + (np.arange(rows) * annotation.interval * 1e9).astype("timedelta64[ns]"),
        ),
        "ground_range": ("pixel", np.arange(cols) * annotation.spacing[1], {"units": "m", "long_name": "ground range"}),
    }
    variables = {
        "dn": xr.DataArray(numbers, dims=dims, attrs={"long_name": "digital number, an amplitude", "units": "1"})
    }
    for quantity, noise in choices(image, True):
        about: dict[str, Any] = {"units": "1", "long_name": TITLES[quantity]}
        name = f"{quantity}_denoised" if noise else quantity
        if quantity == "incidence":
            name, about = "incidence_angle", about | {"units": "degree", "standard_name": "angle_of_incidence"}
        elif noise:
            about["long_name"] += ", thermal noise subtracted"
        if quantity == "sigma0":
            about["standard_name"] = "surface_backwards_scattering_coefficient_of_radar_wave"
        treated = ipf_history.treated(place, image, noise, version)
        if treated and quantity != "incidence":
            about["radiometry"] = treated
        geocoded = Geocoded(
            place,
            image.member,
            image.calibration,
            noise,
            quantity,
            image.source,
            ipf_history.version_of(version),
            ipf_history.border(place, image, version),
        )
        values = da.map_blocks(
            _calibrated, numbers, geocoded, annotation if quantity == "incidence" else None, dtype="float32"
        )
        variables[name] = xr.DataArray(values, dims=dims, attrs=about)
    return xr.Dataset(
        variables, coords=coords, attrs={"polarisation": annotation.polarisation, "swath": annotation.swath}
    )


def _calibrated(
    numbers: NDArray[np.uint16], geocoded: Geocoded, annotation: Annotation | None, block_info: Any = None
) -> NDArray[np.float32]:
    rows, cols = block_info[None]["array-location"]
    if annotation is None:
        return geocoded.calibrated(numbers, rows, cols)
    angle = scipy.interpolate.RegularGridInterpolator(
        (annotation.grid.line, annotation.grid.pixel), annotation.grid.incidence, bounds_error=False, fill_value=None
    )
    return np.asarray(angle(tuple(np.meshgrid(np.arange(*rows), np.arange(*cols), indexing="ij"))), np.float32)
