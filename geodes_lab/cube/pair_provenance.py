"""The metadata of an interferogram: bursts, orbits, delay, baseline, looks and bias, and what was assumed."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np

from geodes_lab.products.sentinel1.annotation import LIGHT
from geodes_lab.products.sentinel1.interferometry import estimator, mapped, matching
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.diversity import Delay
from geodes_lab.products.sentinel1.interferometry.matching import Scene


def bias(looks: tuple[int, int], independent: float, removed: bool) -> dict[str, Any]:
    """Return the attributes of the coherence: its estimator, its looks and its bias."""
    of_none, spread = (float(v) for v in estimator.moments(0.0, independent))
    told = f"with no coherence at all the estimate is {of_none:.3f} ± {spread:.3f} (Touzi et al. 1999)"
    return {
        "estimator": f"magnitude of the mean of {looks[0]} × {looks[1]} samples (boxcar), normalised by both powers",
        "effective_looks": independent,
        "coherence_bias": f"{told}; removed on the mean, not from the scatter" if removed else told,
    }


def attributes(first: Scene, second: Scene, pairs: tuple[BurstPair, ...], delay: Delay) -> dict[str, Any]:
    """Return the attributes of the whole; the baseline is that in the middle of the first burst."""
    one, two = (p.described for p in (pairs[0].primary, pairs[0].secondary))
    grid = one.annotation.grid
    burst = one.bursts[pairs[0].first]
    polygon = burst.footprint(one.annotation).centroid
    lon, lat, height = np.array([polygon.x]), np.array([polygon.y]), float(np.median(grid.height))
    *_, up, across = (float(v[0]) for v in mapped.baseline_at(pairs[0], lon, lat, height))
    sine = math.sqrt(max(1 - up**2, 1e-9))
    slant = float(np.median(grid.slant_range_time)) * LIGHT / 2
    ambiguity = one.tops.wavelength * slant * sine / 2 / across if abs(across) > 1e-3 else float("inf")
    days = (two.bursts[pairs[0].second].start - burst.start) / np.timedelta64(1, "D")
    flown = [
        p.orbit_file.note if p.orbit_file else "the product's own orbit" for p in (pairs[0].primary, pairs[0].secondary)
    ]
    relief = pairs[0].relief
    attrs = {
        "Conventions": "CF-1.11",
        "title": f"Interferogram of {first.name} and {second.name}, {one.annotation.polarisation}",
        "history": f"opened in place by geodes_lab {version('geodes-lab')}",
        "source": [first.name, second.name],
        "primary_time": str(burst.start),
        "secondary_time": str(two.bursts[pairs[0].second].start),
        "temporal_baseline_days": round(float(days), 6),
        "polarisation": one.annotation.polarisation,
        "track": first.track if first.track is not None else "unknown",
        "bursts": [p.name for p in pairs],
        "orbits": flown,
        "wavelength": one.tops.wavelength,
        "perpendicular_baseline": round(across, 3),
        "height_of_ambiguity": round(abs(ambiguity), 2),
        "delay": delay.note,
        "delay_seconds": delay.seconds,
        "delay_error_seconds": delay.error,
        "geometry": f"orbits and terrain: {relief.note}"
        if relief
        else "orbits, and heights of tie points: relief stays in the phase",
        "processor": [f"Sentinel-1 IPF {s.processor}".strip() for s in (first, second)],
        "assumed": [
            "the ground did not change its height, and one delay holds for all bursts",
            "atmosphere, ionosphere and what the product's own orbits are wrong by stay in the phase",
        ],
    }
    if first.platform != second.platform:
        attrs["satellites"] = f"{first.platform} and {second.platform}"
        if frozenset({first.platform, second.platform}) != frozenset({"S1A", "S1B"}):
            attrs["burst_offset"] = matching.OFFSET
    return attrs
