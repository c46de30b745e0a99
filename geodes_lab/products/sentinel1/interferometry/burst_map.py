"""ESA's numbers of the places where bursts are: the same in all passes of a track."""

from __future__ import annotations

import math
import re

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1.annotation import seconds, time
from geodes_lab.products.sentinel1.burst import Burst

TRACKS = 175
_CYCLE = 2.758273  # seconds from a burst to the next of the same swath
_PREAMBLE = 2.299849  # seconds from the ascending node of track 1 to the first burst of IW1
_ORBIT = 12 * 86_400 / TRACKS  # seconds
_TO_MIDDLE = {"IW1": 0.832 + 1.078 / 2, "IW2": 1.078 / 2, "IW3": -1.078 / 2}  # seconds to the middle of IW2's burst
_COUNT = round(TRACKS * _ORBIT / _CYCLE)
_TRACK_OF = {"S1A": 73, "S1B": 27, "S1C": 172}  # absolute orbit number on track 1


def numbers(bursts: list[Burst], told: Document, swath: str, track: int | None) -> list[int]:
    """Return the relative burst identifier of each burst: the annotation's, or one computed from its time.

    Parameters
    ----------
    bursts, told
        Of one image.
    swath
        ``IW1``, ``IW2`` or ``IW3``.
    track
        The relative orbit number at the begin of the product; it is only needed where the annotation has no identifier.

    Raises
    ------
    GeodesError
        If it is needed and unknown, or the annotation lacks the times.

    References
    ----------
    ESA: Sentinel-1 Level 1 Detailed Algorithm Definition, MPC-0307, issue 2.4, table 9-7, equations 9-89 and 9-91.
    """
    if all(b.identifier is not None for b in bursts):
        return [b.identifier for b in bursts if b.identifier is not None]
    if track is None:
        raise GeodesError(f"{told.name} has no burst identifiers, and its manifest no track: fetch the product again.")
    node = time(told, "imageAnnotation/imageInformation/ascendingNodeTime")
    found = []
    for element in told.root.findall("swathTiming/burstList/burst"):
        since = float(seconds(time(told, "sensingTime", element), node)) + _TO_MIDDLE[swath]
        found.append(1 + math.floor((since + (track - 1) * _ORBIT - _PREAMBLE) / _CYCLE) % _COUNT)
    return found


def track(archive: Archive) -> int | None:
    """Return the relative orbit number of a product, from its manifest or its name; None if neither has it."""
    manifest = Document(archive, archive.find(r"manifest\.safe", "manifest (manifest.safe)"))
    for element in manifest.root.iter("relativeOrbitNumber"):
        text = (element.text or "").strip()
        if element.get("type", "start") == "start" and text.isdigit() and 1 <= int(text[:4]) <= TRACKS:
            return int(text)
    name = re.match(r"(S1[A-D])_IW_SLC__.*_(\d{6})_[0-9A-F]{6}_", f"{archive.name}_")
    if name is None or name[1] not in _TRACK_OF:
        return None
    return int((int(name[2]) - _TRACK_OF[name[1]]) % TRACKS + 1)
