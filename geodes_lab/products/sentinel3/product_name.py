"""The parts of a Sentinel-3 product's name, in ESA's format."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from geodes_lab.errors import GeodesError

_TIME = r"(\d{8}T\d{6})"
_NAME = re.compile(
    rf"(S3[A-D_])_(SR_[12]_\w{{6}})_{_TIME}_{_TIME}_{_TIME}_\d{{4}}_(\d{{3}})_(\d{{3}})_.{{4}}_\w{{3}}_\w_(\w\w)_(\w{{3}})"
)
_TIMELINESS = (
    "NR",
    "ST",
    "NT",
)  # near real time, short time critical, not time critical: each better than the one before
_EDGES = np.timedelta64(4, "s")  # names have whole seconds, and another processing may begin and end slightly later


@dataclass(frozen=True)
class Name:
    """The parsed name of an altimeter product."""

    text: str
    """The name itself, without ``.SEN3``."""
    platform: str
    """``S3A`` or ``S3B``."""
    kind: str
    """The type, such as ``SR_2_LAN``, without the padding underscores."""
    start: np.datetime64
    """Of the first record, in whole seconds (UTC)."""
    stop: np.datetime64
    """Of the last record, in whole seconds (UTC)."""
    made: str
    """The time of processing."""
    cycle: int
    """The cycle of 27 days."""
    orbit: int
    """The relative orbit, 1 to 385, of the first record."""
    timeliness: str
    """``NR``, ``ST`` or ``NT``."""
    baseline: str
    """The baseline collection, such as ``004``."""

    @property
    def version(self) -> tuple[int, str, str]:
        """A key that sorts the processings of one acquisition, the best last."""
        late = _TIMELINESS.index(self.timeliness) if self.timeliness in _TIMELINESS else -1
        return late, self.baseline, self.made

    def covers(self, other: Name) -> bool:
        """Whether this is from the same instrument, and covers the time of another product of its type."""
        if (self.platform, self.kind) != (other.platform, other.kind):
            return False
        shared = min(self.stop, other.stop) - max(self.start, other.start)
        missing = other.stop - other.start - shared
        return bool(missing <= _EDGES and 10 * missing <= shared)


def matches(text: str) -> bool:
    """Whether this is the name of an altimeter product."""
    return _NAME.match(text) is not None


def parse(text: str) -> Name:
    """Parse a name.

    Raises
    ------
    GeodesError
        If it does not have the format.
    """
    match = _NAME.match(text)
    if not match:
        raise GeodesError(
            f"{text} does not have the name of a Sentinel-3 product (S3A_SR_2_LAN____…): give it back its "
            "original name."
        )
    platform, kind, start, stop, processed, cycle, orbit, timeliness, baseline = match.groups()
    return Name(
        match[0],
        platform,
        kind.rstrip("_"),
        _time(start),
        _time(stop),
        processed,
        int(cycle),
        int(orbit),
        timeliness,
        baseline,
    )


def _time(text: str) -> np.datetime64:
    return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}", "s")
