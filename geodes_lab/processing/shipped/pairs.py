"""Pairs of radar passes: coherence and phase on a map. Each is one unit: all tiles of a pair share one delay."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pystac
import xarray as xr
from pydantic import Field

from geodes_lab.errors import GeodesError
from geodes_lab.processing.inputs import Between, Unit
from geodes_lab.processing.place import Place
from geodes_lab.processing.reduction import Reduce, reduced
from geodes_lab.processing.references import Files
from geodes_lab.processing.registry import define

Heights = Literal["geoid", "ellipsoid"]
Bursts = Annotated[list[str], Field(min_length=1, max_length=100)]
Looks = Annotated[list[int], Field(min_length=2, max_length=2)]
Polarisation = Literal["VV", "VH", "HH", "HV"]
_MAPS = ("coherence", "phase", "los_east", "los_north", "los_up", "perpendicular_baseline", "layover_shadow_mask")


@define(version="1")
def interferogram(
    items: list[pystac.Item],
    place: Place = Place(),  # noqa: B008  (never changed)
    dem: Files | None = None,
    dem_heights: Heights | None = None,
    orbits: Files | None = None,
    bursts: Bursts | None = None,
    polarisation: Polarisation | None = None,
    multilook: Looks = [20, 4],  # noqa: B006  (never changed)
    refine: bool = True,
    unbiased: bool = False,
    across_satellites: bool = False,
) -> xr.Dataset:
    """Coherence and phase of two passes of Sentinel-1 (IW SLC), without the phase of orbits and terrain.

    The earlier product is the primary. The region says where; without one, all bursts that both have.

    Parameters
    ----------
    dem
        The terrain model: a path in your home, an address (https, s3) or a STAC Item; or a list of its tiles. Without
        one, the phase of the relief stays.
    dem_heights
        What its heights refer to; without, what its file or its name says.
    orbits
        Orbit files of both days (POEORB): paths, addresses or Items.
    bursts
        ESA's relative burst identifiers, such as 110431 or 110431_IW1.
    polarisation
        Without, VV or HH.
    multilook
        Samples in range and lines in azimuth of a cell.
    refine
        Whether the secondary's delay is estimated in the overlaps of bursts.
    unbiased
        Whether the bias of the coherence is removed.
    across_satellites
        Whether the products may be of satellites whose bursts are known to be offset in phase.

    References
    ----------
    Yagüe-Martínez, N. et al. (2016): Interferometric processing of Sentinel-1 TOPS data. IEEE Transactions on
    Geoscience and Remote Sensing 54(4), 2220–2234. https://doi.org/10.1109/TGRS.2015.2497902
    """
    from geodes_lab.cube.pair import open_pair
    from geodes_lab.util import instant

    if len(items) != 2:
        raise GeodesError(f"An interferogram is of two products, not {len(items)}: give one of each pass.")
    begins = [instant.begin(item) for item in items]
    first, second = items if None in begins or begins[0] <= begins[1] else items[::-1]  # type: ignore[operator]
    pair = open_pair(
        first,
        second,
        dem=dem,
        dem_heights=dem_heights,
        orbits=orbits,
        bbox=place.bbox,
        bursts=bursts,
        polarisation=polarisation,
        multilook=(multilook[0], multilook[1]),
        crs=place.crs,
        resolution=place.resolution,
        refine=refine,
        unbiased=unbiased,
        across_satellites=across_satellites,
    )
    maps = pair[[n for n in _MAPS if n in pair]]
    return maps.assign_coords(time=np.datetime64(pair.attrs["secondary_time"], "ns"))


@define(version="1")
def coherence(
    items: list[pystac.Item],
    place: Place = Place(),  # noqa: B008  (never changed)
    longest: Annotated[float, Unit("d"), Between(0.5, 400)] = 36.0,
    dem: Files | None = None,
    dem_heights: Heights | None = None,
    orbits: Files | None = None,
    bursts: Bursts | None = None,
    polarisation: Polarisation | None = None,
    multilook: Looks = [20, 4],  # noqa: B006  (never changed)
    unbiased: bool = False,
    across_satellites: bool = False,
    reduce: Reduce = "mean",
) -> xr.Dataset:
    """Coherence of each pass of Sentinel-1 (IW SLC) with the next, as one map of a period, and the number of pairs.

    A pair whose passes lie in two periods is in none.

    Parameters
    ----------
    longest
        Where the next pass is later than this, there is no pair.
    dem
        The terrain model: a path in your home, an address (https, s3) or a STAC Item; or a list of its tiles. Without
        one, the heights of the products' tie points are used.
    dem_heights
        What its heights refer to; without, what its file or its name says.
    orbits
        Orbit files of all days (POEORB): paths, addresses or Items.
    bursts
        ESA's relative burst identifiers, such as 110431 or 110431_IW1.
    polarisation
        Without, VV or HH.
    multilook
        Samples in range and lines in azimuth of a cell.
    unbiased
        Whether the bias of the coherence is removed.
    across_satellites
        Whether the products may be of satellites whose bursts are known to be offset in phase.
    reduce
        How the pairs of a period become one map.

    References
    ----------
    Touzi, R. et al. (1999): Coherence estimation for SAR imagery. IEEE Transactions on Geoscience and Remote Sensing
    37(1), 135–149. https://doi.org/10.1109/36.739146
    """
    from geodes_lab.science.radar.coherence import coherence_series

    series = coherence_series(
        items,
        longest=longest,
        dem=dem,
        dem_heights=dem_heights,
        orbits=orbits,
        bbox=place.bbox,
        bursts=bursts,
        polarisation=polarisation,
        multilook=(multilook[0], multilook[1]),
        crs=place.crs,
        resolution=place.resolution,
        unbiased=unbiased,
        across_satellites=across_satellites,
    )
    result = reduced(series.coherence, reduce).to_dataset(name="coherence")
    pairs = series.coherence.notnull().sum("time").astype(np.uint16)
    result["pairs"] = pairs.assign_attrs(long_name="number of pairs with data", units="1")
    return result.assign_coords(time=series.time.values.max())
