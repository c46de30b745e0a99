"""Whether those who compute together have the same software.

Refused in plain words before work is sent where it would break.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from geodes_lab.errors import GeodesError

PACKAGES = ("dask", "distributed", "xarray", "zarr", "geodes-lab")
"""What has to be the same, beside Python itself; of geodes_lab, its distribution."""

ASK = (
    "(lambda m, p: {'python': p.python_version()} | {d.metadata['Name'].lower().replace('_', '-'): d.version for d in "
    "m.distributions() "
    f"if (d.metadata['Name'] or '').lower().replace('_', '-') in "
    f"{PACKAGES!r}}})(__import__('importlib.metadata').metadata, __import__('platform'))"
)
"""What tells it of another process, as an expression: that process need not have geodes_lab, nor this version of it."""


def here() -> dict[str, str]:
    """The versions of this process."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def refuse(theirs: Mapping[str, str], who: str, remedy: str) -> None:
    """Hold the versions of another process against those of this one.

    Parameters
    ----------
    theirs
        What `ASK` gave there.
    who
        What the sentence calls it: "the gateway's scheduler".
    remedy
        What to do.

    Raises
    ------
    GeodesError
        If one is missing or differs; of Python, the last number may.
    """
    mine, wrong = here(), []
    for name, own in mine.items():
        other = theirs.get(name)
        same = other is not None and (
            own.rsplit(".", 1)[0] == other.rsplit(".", 1)[0] if name == "python" else own == other
        )
        if not same:
            wrong.append(f"{name} {other or 'not at all'} where this kernel has {own}")
    if wrong:
        raise GeodesError(f"{who} has {'; '.join(wrong)}, and such versions cannot work together. {remedy}")
