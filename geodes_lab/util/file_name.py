"""Which names, that came from elsewhere, a file may have."""

from __future__ import annotations

import re

from geodes_lab.errors import GeodesError

_NAME = re.compile(r"[^\W_][\w.+:=@~ -]{0,199}")


def is_safe(name: str) -> bool:
    """Whether a name is that of one file, in any folder: no path, no hidden file, no odd characters."""
    return bool(_NAME.fullmatch(name)) and not name.endswith((" ", ".")) and len(name.encode()) <= 200


def of_product(name: str, endings: re.Pattern[str]) -> str:
    """Return the name of a product without the endings of files, for a file or a folder that is called as it.

    Raises
    ------
    GeodesError
        If no file may have it.
    """
    stem = endings.sub("", name)
    if not is_safe(stem):
        raise GeodesError(
            f"The product {name!r} has a name that no file may have (a path, a hidden file, or odd characters): give "
            "the Item another id, or its properties another identifier."
        )
    return stem
