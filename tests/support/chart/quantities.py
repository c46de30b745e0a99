"""Kubernetes' quantities: 100m, 1.5, 512Mi, 2G."""

from __future__ import annotations

import re
from decimal import Decimal

_BINARY = {f"{letter}i": Decimal(1024) ** (n + 1) for n, letter in enumerate("KMGTPE")}
_DECIMAL = {letter: Decimal(1000) ** (n + 1) for n, letter in enumerate("kMGTPE")} | {"m": Decimal("0.001"), "": 1}


def quantity(text: object) -> Decimal:
    """The number.

    Raises
    ------
    ValueError
        If it is none.
    """
    found = re.fullmatch(r"([+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][0-9]+)?)([KMGTPE]i|[kMGTPEm]|)", str(text))
    if not found:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(found[1]) * (_BINARY | _DECIMAL)[found[2]]
