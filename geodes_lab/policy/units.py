"""Sizes, times and prices as people write them: ``4 GiB``, ``90 min``, ``0.05``."""

from __future__ import annotations

import re
from decimal import Decimal

_SIZES = {"": 1, "B": 1, **{p + u: b ** (i + 1) for i, p in enumerate("kMGTP") for u, b in (("B", 1000), ("iB", 1024))}}
_SIZES |= {"KiB": 1024, "KB": 1000}
_TIMES = {"s": 1, "min": 60, "h": 3600, "d": 86400, "day": 86400, "days": 86400}
_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_WRITTEN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")


class Bytes(int):
    """A number of bytes."""

    @classmethod
    def read(cls, text: object) -> Bytes:
        """Read ``4 GiB``, ``500MB`` or a plain number."""
        return cls(_read(text, _SIZES, "a size such as 4 GiB"))

    def __str__(self) -> str:
        for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("kiB", 2**10)):
            if self >= factor:
                number = self / factor
                return f"{number:.3g} {unit}" if number < 999.5 else f"{number:.0f} {unit}"
        return f"{int(self)} B"


class Seconds(int):
    """A time in seconds."""

    @classmethod
    def read(cls, text: object) -> Seconds:
        """Read ``90 min``, ``12h`` or ``0``; a number has its unit, for nobody knows what 60 is."""
        if text in (0, "0"):
            return cls(0)
        return cls(_read(text, _TIMES, "a time such as 90 min"))

    def __str__(self) -> str:
        for unit, factor in (("d", 86400), ("h", 3600), ("min", 60)):
            if self and self % factor == 0:
                return f"{self // factor} {unit}"
        return f"{int(self)} s"


class Price(Decimal):
    """An amount of money, exact; its currency is said once for all prices."""

    @classmethod
    def read(cls, text: object) -> Price:
        """Read ``0.05`` or ``1200``, a number or a text."""
        written = str(text).strip() if isinstance(text, (int, float, str)) and not isinstance(text, bool) else ""
        if not _AMOUNT.fullmatch(written):
            raise ValueError(
                f"{text!r} is not a price such as 0.05: digits with at most 9 before the point and 6 behind it, "
                "without a sign and without a currency"
            )
        return cls(written)

    def __str__(self) -> str:
        return f"{Decimal(self):f}"


def _read(text: object, units: dict[str, int], wanted: str) -> int:
    found = _WRITTEN.fullmatch(str(text).strip()) if not isinstance(text, bool) else None
    if not found or found[2] not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    return round(float(found[1]) * units[found[2]])
