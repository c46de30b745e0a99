"""The bursts that two products have in common, by ESA's numbers; pairs that cannot be compared are refused."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
import shapely
from shapely import affinity

from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel1 import orbit as sentinel1_orbit
from geodes_lab.products.sentinel1.image import images, processor
from geodes_lab.products.sentinel1.interferometry import burst_map
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.swath import Described, Swath
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.storage import tape

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]

_NAME = re.compile(r"(S1[A-D])_IW_SLC_")
_BURST = re.compile(r"(?:t?\d{1,3}_)?(?P<number>\d+)(?:_(?P<swath>iw[123]))?", re.IGNORECASE)
_ALIKE = {frozenset({"S1A", "S1B"})}  # whose phases continue from burst to burst
_SHOWN = 8  # identifiers in a sentence
_LARGEST = 5.0  # degrees of latitude: a burst has half of one
OFFSET = (
    "interferograms of two of these satellites are known to jump by about 1.4 to 1.65 rad from each burst to the next "
    "(found for S1C and S1D in 2026), which is not corrected"
)
"""What is known about pairs of different satellites."""


@dataclass(frozen=True)
class Scene:
    """One product of a pair."""

    name: str
    platform: str
    """Such as ``S1A``."""
    track: int | None
    """The relative orbit number; None: unknown."""
    processor: str
    """The version of ESA's processor; empty: unknown."""
    start: np.datetime64
    """Zero-Doppler time of the first line, UTC."""
    swaths: dict[tuple[str, str], Swath]
    """The images by swath and polarisation."""

    @property
    def polarisations(self) -> list[str]:
        """Its polarisations, those that send and receive alike first."""
        return sorted({p for _, p in self.swaths}, key=lambda p: (p not in ("VV", "HH"), p))


def scene(product: Product, orbits: Sequence[OrbitFile] | None) -> Scene:
    """Open a product of a pair: its annotations are read, no sample.

    Raises
    ------
    GeodesError
        If it is no IW SLC product, it is damaged, or ``orbits`` has none for it.
    """
    item = as_item(product)
    try:
        return _scene(item, orbits)
    except GeodesError as error:
        raise tape.explained(item, error) from error
    except Exception as error:
        raise _damaged(name_of(item), error) from error


def _damaged(name: str, error: Exception) -> GeodesError:
    """Return the error for damage that nobody expects: products come from anywhere, and may contain anything."""
    reason = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
    return GeodesError(
        f"{name} cannot be opened, because its metadata are damaged ({type(error).__name__}: {reason}); fetch the "
        "product again."
    )


def _scene(item: pystac.Item, orbits: Sequence[OrbitFile] | None) -> Scene:
    archive = packed.archive(item)
    several = [i for i in images(archive) if i.annotation.product_type == "SLC" and i.annotation.mode == "IW"]
    name, version = processor(archive)
    named = _NAME.match(name) or _NAME.match(name_of(item))
    if not several or named is None:
        raise GeodesError(
            f"{name_of(item)} is not a Sentinel-1 IW SLC product: interferograms need complex images (SLC) of mode IW."
        )
    track = burst_map.track(archive)
    swaths = {}
    for image in several:
        file = None if orbits is None else sentinel1_orbit.chosen(orbits, named[1], image.annotation)
        key = image.annotation.swath, image.annotation.polarisation
        swaths[key] = Swath(archive.place, name, image.member, image.source, track, file)
    return Scene(name, named[1], track, version, min(i.annotation.start for i in several), swaths)


def _told(swath: Swath) -> Described:
    """Return what an annotation says; refuse bursts that are not on Earth, or larger than any."""
    try:
        about = swath.described
        for burst in about.bursts:
            west, south, east, north = burst.footprint(about.annotation).bounds
            if not (-360 <= west <= east <= 540 and -90 <= south <= north <= 90 and north - south < _LARGEST):
                raise GeodesError(f"{about.annotation.name} has a burst that is nowhere on Earth: fetch it again.")
    except GeodesError:
        raise
    except Exception as error:
        raise _damaged(swath.product, error) from error
    return about


def matched(
    primary: Scene,
    secondary: Scene,
    *,
    polarisation: str | None,
    bbox: Sequence[float] | None,
    bursts: Sequence[str] | None,
    across_satellites: bool,
) -> list[BurstPair]:
    """Match the bursts of two products.

    Parameters
    ----------
    primary, secondary
        The products.
    polarisation
        Such as ``VV``; None: the first that both have, VV or HH before VH or HV.
    bbox
        West, south, east, north in degrees; bursts that do not meet it are left out. None: all.
    bursts
        Relative burst identifiers, such as ``"110431"``, ``"110431_IW1"`` or ``"t052_110431_iw1"``. None: all.
    across_satellites
        Whether the products may be of different satellites whose bursts are known to be offset.

    Returns
    -------
    list of BurstPair
        By swath and time, without terrain, looks of 1, and no delay.

    Raises
    ------
    GeodesError
        If the products are the same, or of different satellites, tracks, polarisations or places.
    """
    _refuse_unlike(primary, secondary, across_satellites)
    chosen = _polarisation(primary, secondary, polarisation)
    pairs, missed = [], []
    wanted = None if bursts is None else [_wanted(b) for b in bursts]
    for (swath, of), image in sorted(primary.swaths.items()):
        other = secondary.swaths.get((swath, of))
        if of != chosen or other is None:
            continue
        about, there = _told(image), _told(other).identifiers
        for number, identifier in enumerate(about.identifiers):
            if wanted is not None and not any(n == identifier and s in (None, swath) for n, s in wanted):
                continue
            if bbox is not None and not _meets(about.bursts[number].footprint(about.annotation), bbox):
                continue
            if identifier in there:
                pairs.append(BurstPair(image, other, number, there.index(identifier), None, (1, 1)))
            else:
                missed.append(f"{identifier}_{swath}")
    if not pairs:
        raise GeodesError(_nothing(primary, secondary, chosen, missed, bbox, bursts))
    return pairs


def _refuse_unlike(primary: Scene, secondary: Scene, across_satellites: bool) -> None:
    if primary.name == secondary.name:
        raise GeodesError(f"Both products are {primary.name}: a pair needs two passes.")
    if primary.track is not None and secondary.track is not None and primary.track != secondary.track:
        raise GeodesError(
            f"{primary.name} is on track {primary.track} and {secondary.name} on track {secondary.track}: only images "
            "of the same track see the ground alike; choose two of one relative orbit."
        )
    satellites = frozenset({primary.platform, secondary.platform})
    if len(satellites) > 1 and satellites not in _ALIKE and not across_satellites:
        raise GeodesError(
            f"{primary.name} is of {primary.platform} and {secondary.name} of {secondary.platform}: {OFFSET}; give two "
            "images of one satellite, or across_satellites=True for a pair whose phase you correct yourself (its "
            "coherence is not concerned)."
        )


def _polarisation(primary: Scene, secondary: Scene, asked: str | None) -> str:
    common = [p for p in primary.polarisations if p in secondary.polarisations]
    if not common:
        raise GeodesError(
            f"{primary.name} has {', '.join(primary.polarisations)} and {secondary.name} has "
            f"{', '.join(secondary.polarisations)}: a pair needs one polarisation in both."
        )
    if asked is None:
        return common[0]
    if asked.upper() not in common:
        raise GeodesError(f"polarisation={asked!r} is not in both products: they have {', '.join(common)}.")
    return asked.upper()


def _wanted(burst: str) -> tuple[int, str | None]:
    found = _BURST.fullmatch(burst)
    if found is None or len(found["number"]) > 9:
        raise GeodesError(
            f"bursts= has {burst!r}, which is no burst identifier: give such as 110431 or '110431_IW1'; "
            "gl.open_product shows those of a product as burst_id."
        )
    return int(found["number"]), found["swath"].upper() if found["swath"] else None


def _meets(footprint: shapely.Polygon, bbox: Sequence[float]) -> bool:
    west, south, east, north = bbox
    box = shapely.box(west, south, east + (360 if east < west else 0), north)
    return any(affinity.translate(footprint, turn).intersects(box) for turn in (0, -360, 360))


def _nothing(
    primary: Scene,
    secondary: Scene,
    polarisation: str,
    missed: list[str],
    bbox: Sequence[float] | None,
    bursts: Sequence[str] | None,
) -> str:
    if missed:
        shown = ", ".join(missed[:_SHOWN]) + (" …" if len(missed) > _SHOWN else "")
        return (
            f"{secondary.name} has none of the bursts of {primary.name} that are wanted ({shown}): choose the product "
            "beside it."
        )
    if bursts is not None or bbox is not None:
        first = next(iter(primary.swaths.values())).described.identifiers
        what = f"bursts={list(bursts)}" if bursts is not None else f"bbox={tuple(bbox or ())}"
        return f"No burst of {primary.name} is in {what}: its bursts are {first[0]} to {first[-1]}."
    return f"{primary.name} and {secondary.name} have no swath of {polarisation} in common: one was downloaded in part."
