"""Members that are NetCDF: opened in place, lazily, whichever of its formats they have."""

from __future__ import annotations

from typing import Any

import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.member import Member

_ENGINES = {b"\x89HDF": "h5netcdf", b"CDF\x01": "scipy", b"CDF\x02": "scipy"}


def open(member: Member, name: str, group: str | None = None, *, decode: bool = True) -> xr.Dataset:
    """Open a NetCDF file, or a group of it.

    Parameters
    ----------
    member
        The file.
    name
        What sentences call it: the member and the product.
    group
        A group of NetCDF-4, such as ``data_01/ku``; None: the root.
    decode
        Whether scale, offset, fill value and time are applied, as CF says.

    Returns
    -------
    xarray.Dataset
        Lazy, its variables dask arrays; what can be pickled goes to workers, which read the file themselves. Of NetCDF-4
        only what describes the file is read now; NetCDF-3 has no parts, and is read as it is asked for.

    Raises
    ------
    GeodesError
        If the file is empty, is no NetCDF, is damaged, or has no such group.
    """
    engine = _ENGINES.get(member.read(0, 4))
    if engine is None:
        empty = "is empty" if not member.size else "is no NetCDF"
        raise GeodesError(f"{name} {empty} ({member.size} bytes): fetch the product again.")
    options: dict[str, Any] = {"group": group} if engine == "h5netcdf" else {}
    try:
        found = xr.open_dataset(
            member.open(), engine=engine, chunks="auto", decode_cf=decode, decode_timedelta=False, **options
        )
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise GeodesError(f"{name} does not open as NetCDF ({_first_line(error)}); fetch the product again.") from error
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
