"""A box in degrees: west, south, east, north."""

from __future__ import annotations

from collections.abc import Sequence

from geodes_lab.errors import GeodesError

_WIDEST = 180.0  # degrees of a box across the date line: in a wider one, the two numbers were swapped


def checked(bbox: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the four numbers of a box; west is more than east where it crosses the date line, as in GeoJSON.

    Raises
    ------
    GeodesError
        If it is not a box, or its numbers are in another order.
    """
    try:
        west, south, east, north = map(float, bbox)
    except (TypeError, ValueError):
        raise GeodesError(f"bbox is (west, south, east, north) in degrees; {bbox!r} is not.") from None
    if not (-180 <= west <= 180 and -180 <= east <= 180 and west != east and -90 <= south < north <= 90):
        raise GeodesError(f"bbox is (west, south, east, north) in degrees; {tuple(bbox)} is not.")
    if west > east and east + 360 - west > _WIDEST:
        raise GeodesError(
            f"bbox is (west, south, east, north) in degrees; in {tuple(bbox)} west is greater than east, which would "
            "go the long way round the earth: swap them."
        )
    return west, south, east, north
