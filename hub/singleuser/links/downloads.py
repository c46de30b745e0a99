"""The cells of a notebook that say the quota and download products, whole or in part."""

from __future__ import annotations

import re
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

_BAND = re.compile(r"[\w.-]{1,60}")
_BANDS = 100
_DEGREES = (180, 90, 180, 90)


def cells(parts: Any) -> list[nbformat.NotebookNode]:
    """Return the cells; the products are ``items``.

    Parameters
    ----------
    parts
        From an address: ``bands``, names, and ``bbox``, west, south, east, north in degrees; without them whole
        products.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if not isinstance(parts, dict) or not parts.keys() <= {"bands", "bbox"}:
        raise ValueError("geodes_download must have bands and bbox, or nothing")
    bands, box = parts.get("bands") or [], parts.get("bbox")
    named = isinstance(bands, list) and all(isinstance(b, str) and _BAND.fullmatch(b) for b in bands)
    if not named or len(bands) > _BANDS:
        raise ValueError("bands of geodes_download must be names such as red or B04")
    numbers = isinstance(box, list) and len(box) == 4 and all(type(n) in (int, float) for n in box)
    if box is not None and not (numbers and all(abs(n) <= most for n, most in zip(box, _DEGREES, strict=True))):
        raise ValueError("bbox of geodes_download must be west, south, east, north in degrees")
    chosen = [*([f"bands={bands!r}"] if bands else []), *([f"bbox={box!r}"] if box is not None else [])]
    return [
        new_markdown_cell(
            "How many products the portal still gives you in this hour. What is read from the datalake counts against "
            "no quota."
        ),
        new_code_cell("try:\n    print(gl.quota())\nexcept gl.GeodesError as error:\n    print(error)"),
        new_markdown_cell(
            "Call it again after an interruption: what is there is kept, and what has begun is continued."
        ),
        new_code_cell(f"gl.download({', '.join(['items', repr('products'), *chosen])})"),
    ]
