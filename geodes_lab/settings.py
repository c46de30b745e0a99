"""Settings: one short YAML beside this file, loaded into ``dask.config``, so that workers inherit them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import yaml

_NAME = "geodes_lab"
_ABSENT = object()


def packaged(path: Path) -> dict[str, Any]:
    """Read a YAML file of this package, in C where libyaml is there: Python's own parser takes a tenth of a second."""
    return dict(yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@cache
def _defaults() -> dict[str, Any]:
    defaults = packaged(Path(__file__).with_name("geodes_lab.yaml"))
    dask.config.update_defaults(defaults)
    return defaults


def get(key: str) -> Any:
    """Return one setting, such as ``get("datalake.mirror")``.

    Parameters
    ----------
    key
        The path of the setting below ``geodes_lab`` in ``geodes_lab.yaml``.

    Raises
    ------
    KeyError
        If there is no such setting: a bug in the library, never a mistake of the user.
    """
    ours, path = _defaults(), f"{_NAME}.{key}"
    value = dask.config.get(path, _ABSENT)
    if value is _ABSENT or isinstance(value, dict):
        # The end of a `with dask.config.set(…)` that began before the first use may have removed the defaults. Only
        # this place checks it, because each request of the datalake reads a dozen settings.
        if _lacks(dask.config.config, ours):
            dask.config.update(dask.config.config, ours, priority="old")
        value = dask.config.get(path)
    return value


def _lacks(there: Any, wanted: dict[str, Any]) -> bool:
    if not isinstance(there, dict):
        return False  # the user has set another type of value
    return any(k not in there or (isinstance(v, dict) and _lacks(there[k], v)) for k, v in wanted.items())
