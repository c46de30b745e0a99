"""What a product is, whatever it is called: its acquisition, and which processing of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.util import instant
from geodes_lab.util.file_name import is_safe

_ENDING = re.compile(r"(?:\.SAFE|\.SEN3)?(?:\.zip|\.tar|\.tgz|\.nc|\.h5|\.tif)?$", re.IGNORECASE)
_DAY = r"\d{8}T\d{6}"
_SENTINEL2 = re.compile(
    rf"(?P<mission>S2[A-D])_(?P<kind>MSIL1C|MSIL2A)_(?P<start>{_DAY})_N(?P<baseline>\d{{4}})_R(?P<orbit>\d{{3}})"
    rf"_T(?P<tile>\d{{2}}[A-Z]{{3}})_(?P<made>{_DAY})",
    re.ASCII,
)
_SENTINEL1 = re.compile(
    rf"(?P<mission>S1[A-D])_(?P<mode>IW|EW|SM|WV|S[1-6])_(?P<kind>[A-Z]{{3}}[FHM_])_(?P<level>[012])(?P<use>[SA])"
    rf"(?P<polarisation>SH|SV|DH|DV|HH|HV|VV|VH)_(?P<start>{_DAY})_(?P<stop>{_DAY})_(?P<orbit>\d{{6}})_(?P<take>[0-9A-F]{{6}})"
    r"_(?P<mark>[0-9A-F]{4})(?P<form>_COG)?",
    re.ASCII,
)
_SENTINEL3 = re.compile(
    rf"(?P<mission>S3[A-D])_(?P<kind>[A-Z]{{2}}_[012]_\w{{6}})_(?P<start>{_DAY})_(?P<stop>{_DAY})_(?P<made>{_DAY})"
    r"_(?:\d{4}_(?P<orbit>\d{3}_\d{3}_(?:\d{4}|_{4}))|(?P<area>[A-Z0-9_]{17}))_\w{3}_(?P<use>[OFDR])_(?P<late>NR|ST|NT)"
    r"_(?P<baseline>\w{3})",
    re.ASCII,
)
_MAJA = re.compile(
    r"(?P<mission>SENTINEL2[A-D]|LANDSAT\d|VENUS(?:-XS)?)_(?P<start>\d{8}-\d{6}-\d{3})_(?P<kind>L2A|L3A)_"
    r"(?P<tile>[A-Z0-9-]{3,20})_(?P<area>[A-Z])_V(?P<major>\d{1,2})-(?P<minor>\d{1,2})",
    re.ASCII,
)
_POLARISATIONS = {"DV": ("vv", "vh"), "DH": ("hh", "hv"), "SV": ("vv",), "SH": ("hh",)}
_SLACK = 2.0  # seconds by which another processing of a radar or altimeter acquisition may begin earlier or later


@dataclass(frozen=True)
class Identity:
    """What a product is."""

    name: str
    """The product's name, without the endings of files."""
    family: str
    """``sentinel1``, ``sentinel2``, ``sentinel3``, ``maja``; ``name``: only the name tells it apart."""
    acquisition: str
    """What was acquired, and as which type of product; the same for all processings, but for the begin."""
    sensed: datetime | None
    """The begin of the acquisition, or of the pass that it is a part of (Sentinel-2)."""
    processing: tuple[str, ...]
    """Orders the processings of one acquisition, the newest last; an empty text is unknown. See `newest_last`."""
    slack: float = 0.0
    """Seconds by which the begin of another processing may differ."""
    mission: str = ""
    product_type: str = ""
    tile: str = ""
    polarisations: tuple[str, ...] = ()

    def is_same_acquisition(self, other: Identity) -> bool:
        """Whether both are processings of the same acquisition."""
        if self.acquisition != other.acquisition:
            return False
        if self.sensed is None or other.sensed is None:
            return self.sensed is other.sensed
        return abs((self.sensed - other.sensed).total_seconds()) <= max(self.slack, other.slack)

    def with_part(self, part: str) -> Identity:
        """Return the same with the part of the pass that the product's own metadata name: one tile may have two."""
        return replace(self, acquisition=f"{self.acquisition}/{part}") if part else self


def identify(name: str, properties: Mapping[str, Any] | None = None) -> Identity:
    """Tell a product from its name, and from what its catalogue says.

    Parameters
    ----------
    name
        As the source has it: with or without ``.SAFE``, ``.zip`` and so on.
    properties
        Of its Item.

    Raises
    ------
    GeodesError
        If no file may have such a name: it is a path, or has odd characters.
    """
    stem = _ENDING.sub("", name)
    if not is_safe(stem) or stem.endswith(".part"):
        raise GeodesError(
            f"The product {name[:200]!r} has a name that no file may have (a path, a hidden file, odd characters, or "
            "more than 200 bytes): it is refused."
        )
    known = properties or {}
    for pattern, read in _FORMS:
        if match := pattern.fullmatch(stem):
            try:
                return read(stem, match, known)
            except ValueError as error:
                raise GeodesError(
                    f"The product {stem} has no valid time in its name ({error}): it is refused."
                ) from None
    sensed = instant.utc(known.get("start_datetime") or known.get("datetime"))
    kind = str(known.get("product:type") or "")
    return Identity(
        stem, "name", f"name/{stem}", sensed, (str(known.get("processing:version") or ""),), product_type=kind
    )


def part_of(members: frozenset[str], identity: Identity) -> str:
    """Return the part of the pass that a product is, from the names of its members; empty: the name says it all.

    A tile of Sentinel-2 has two products of one pass where the pass was received in two parts: their names differ in
    the last time only, as those of two processings do. The folder of the granule has the begin of the part.
    """
    if identity.family != "sentinel2":
        return ""
    begins = {m[1] for n in members if (m := re.search(rf"/GRANULE/L\w\w_T{identity.tile}_A\d{{6}}_({_DAY})/", n))}
    return begins.pop() if len(begins) == 1 else ""


def newest_last(several: Sequence[tuple[Identity, str]]) -> list[int]:
    """Order the processings of one acquisition, each with its time of publication; returns their places in the list.

    What is not known of all of them orders none: then the publication does.
    """
    width = min((len(i.processing) for i, _ in several), default=0)
    used = [n for n in range(width) if all(i.processing[n] for i, _ in several)]
    return sorted(range(len(several)), key=lambda n: ([several[n][0].processing[k] for k in used], several[n][1], n))


def _sentinel2(name: str, m: re.Match[str], known: Mapping[str, Any]) -> Identity:
    made = instant.utc(known.get("processing:datetime"))
    _time(m["made"])
    return Identity(
        name,
        "sentinel2",
        f"{m['mission']}/{m['kind']}/{m['start']}/R{m['orbit']}/T{m['tile']}",
        _time(m["start"]),
        (m["baseline"], made.strftime("%Y%m%dT%H%M%S") if made else m["made"]),
        mission=m["mission"],
        product_type=f"S2{m['kind'].replace('MSIL', 'MSI')}",
        tile=m["tile"],
    )


def _sentinel1(name: str, m: re.Match[str], known: Mapping[str, Any]) -> Identity:
    # The mark at the end is a checksum of the metadata: it tells processings apart, and does not order them.
    made = instant.utc(known.get("processing:datetime"))
    version = str(known.get("processing:version") or "")
    _time(m["stop"])
    kind = f"{m['kind']}_{m['level']}{m['use']}{m['polarisation']}{m['form'] or ''}"
    return Identity(
        name,
        "sentinel1",
        f"{m['mission']}/{m['mode']}/{kind}/{m['orbit']}/{m['take']}",
        _time(m["start"]),
        (made.strftime("%Y%m%dT%H%M%S") if made else "", version),
        _SLACK,
        mission=m["mission"],
        product_type=m["kind"].rstrip("_"),
        polarisations=_POLARISATIONS.get(m["polarisation"], (m["polarisation"].lower(),)),
    )


def _sentinel3(name: str, m: re.Match[str], known: Mapping[str, Any]) -> Identity:
    # Near real time and later deliveries cover other spans: each is a line of its own, and none supersedes another.
    _time(m["stop"])
    return Identity(
        name,
        "sentinel3",
        f"{m['mission']}/{m['kind']}/{m['late']}/{m['use']}/{m['orbit'] or m['area']}",
        _time(m["start"]),
        (m["baseline"], m["made"]),
        _SLACK,
        mission=m["mission"],
        product_type=m["kind"].rstrip("_"),
    )


def _maja(name: str, m: re.Match[str], known: Mapping[str, Any]) -> Identity:
    return Identity(
        name,
        "maja",
        f"{m['mission']}/{m['kind']}/{m['start']}/{m['tile']}/{m['area']}",
        datetime.strptime(m["start"], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC),
        (f"{int(m['major']):03d}", f"{int(m['minor']):03d}"),
        mission=m["mission"],
        product_type=f"REFLECTANCE_{m['kind']}",
        tile=m["tile"],
    )


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str, re.Match[str], Mapping[str, Any]], Identity]], ...] = (
    (_SENTINEL2, _sentinel2),
    (_SENTINEL1, _sentinel1),
    (_SENTINEL3, _sentinel3),
    (_MAJA, _maja),
)


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
