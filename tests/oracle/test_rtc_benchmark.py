"""The benchmark of flattened radar compares maps at the same places, though sarsen writes south first, and wider."""

from __future__ import annotations

import numpy as np
import rasterio
from affine import Affine

from tests.benchmarks import rtc


def test_maps_are_compared_at_the_same_places(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rtc, "FOLDER", tmp_path)
    power = np.random.default_rng(1).gamma(4, 1, (60, 80)).astype("float32")  # north first
    inner = power[13:43, 7:57] * np.float32(10**0.05)
    inner[0, 0] = np.nan
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "crs": "EPSG:32633"}
    west, north, step = 300_000, 4_600_000, 20
    ours = Affine(step, 0, west + 7 * step, 0, -step, north - 13 * step)
    south_first = Affine(step, 0, west, 0, step, north - 60 * step)
    for name, data, where in (
        ("ours", inner, ours),
        ("down", power, Affine(step, 0, west, 0, -step, north)),
        ("up", power[::-1], south_first),
    ):
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", height=data.shape[0], width=data.shape[1], transform=where, **profile
        ) as file:
            file.write(data, 1)
    for name in ("down", "up"):
        rtc.beside(name)
        assert f"{name}: ours / sarsen +0.50 dB, 95 % within 0.50 dB, 1499 pixels" in capsys.readouterr().out
