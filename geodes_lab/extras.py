"""What the library can do only with more packages: the sentence that names the extra where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geodes_lab.errors import GeodesError

_EXTRAS = {
    "bokeh": "plot",
    "datashader": "plot",
    "holoviews": "plot",
    "matplotlib": "plot",
    "panel": "plot",
    "ipyleaflet": "map",
    "ipywidgets": "map",
    "cryptography": "cluster",
    "dask_gateway": "cluster",
    "dask_jobqueue": "cluster",
    "cql2": "service",
    "duckdb": "service",
    "duckdb_extension_spatial": "service",
    "pyarrow": "service",
    "exactextract": "vector",
    "geopandas": "vector",
    "pyogrio": "vector",
}
"""Packages, as they are imported, and the extra of pyproject.toml that brings each."""


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Import within; a package that is missing is said with the extra that brings it.

    Parameters
    ----------
    what
        What the packages are for, as a sentence begins.

    Raises
    ------
    GeodesError
        If a package of an extra is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        extra = _EXTRAS[package]
        raise GeodesError(
            f"{what} needs {package}, which is not installed: install it with pip install 'geodes-lab[{extra}]'."
        ) from error
