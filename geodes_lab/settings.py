"""Settings: one short YAML beside this file, loaded into ``dask.config``, so that workers inherit what the user set."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import dask.config
import yaml

_NAME = "geodes_lab"
_ABSENT = object()


@cache
def _defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("geodes_lab.yaml").read_text())
    dask.config.update_defaults(defaults)
    return defaults


def get(key: str) -> Any:
    """Give one setting, such as ``get("datalake.mirror")``.

    Parameters
    ----------
    key
        The path of the setting below ``geodes_lab`` in ``geodes_lab.yaml``.

    Raises
    ------
    KeyError
        If there is no such setting: a mistake of ours, never of the user.
    """
    ours, path = _defaults(), f"{_NAME}.{key}"
    found = dask.config.get(path, _ABSENT)
    if found is _ABSENT or isinstance(found, dict):
        # The end of a `with dask.config.set(…)` that began before the first use may have taken defaults away. This is
        # looked at here alone, since each request of the datalake asks for a dozen settings.
        if _lacks(dask.config.config, ours):
            dask.config.update(dask.config.config, ours, priority="old")
        found = dask.config.get(path)
    return found


def _lacks(there: Any, wanted: dict[str, Any]) -> bool:
    if not isinstance(there, dict):
        return False  # the user has said something else altogether
    return any(k not in there or (isinstance(v, dict) and _lacks(there[k], v)) for k, v in wanted.items())
