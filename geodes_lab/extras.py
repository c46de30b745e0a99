"""Features that need more packages: the error message names the extra that brings a missing package."""

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
    "prometheus_client": "service",
    "pyarrow": "service",
    "pydantic": "service",
    "sqlalchemy": "service",
    "exactextract": "vector",
    "geopandas": "vector",
    "pyogrio": "vector",
    "morecantile": "tiles",
    "rio_tiler": "tiles",
    "titiler": "tiles",
    "icechunk": "icechunk",
    "pyinterp": "altimetry",
    "threadpoolctl": "altimetry",
    "ipykernel": "notebooks",
    "jupyter_client": "notebooks",
    "nbclient": "notebooks",
    "nbformat": "notebooks",
    "mcp": "assistant",
    "mcp_types": "assistant",
}
"""Package to extra: the import names, and the extra of pyproject.toml that brings each."""


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Import packages within this; the error names the extra that brings a missing package.

    Parameters
    ----------
    what
        The feature that needs the packages, as the sentence begins.

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
