"""Sentinel-1 OCN: wind, waves and velocity as they were written, and every variable of ESA's own table in its node."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import geodes_lab as gl
from geodes_lab.products.sentinel1 import ocn
from geodes_lab.sample.sentinel1 import ocn as generator


def product(sample: Path, mode: str) -> Path:
    return next((sample / "datalake" / "sentinel1-ocn").rglob(f"S1A_{mode}_*.zip"))


def test_wide_swath(on_s3):
    item = next(i for i in gl.search("PEPS_S1_L2") if "_IW_" in i.id)
    tree = pickle.loads(pickle.dumps(gl.open_product(item)))
    wind = tree["owi"].to_dataset().compute(scheduler="sync")
    want = generator.wind_speed("IW")
    np.testing.assert_array_equal(np.isnan(wind.wind_speed), want == generator.FILLER)
    np.testing.assert_array_equal(wind.wind_speed.fillna(-999), want)
    assert wind.wind_speed.dims == ("azimuth", "range")
    assert wind.wind_speed.attrs["units"] == "m/s"
    assert wind.wind_speed.attrs["original_name"] == "owiWindSpeed"
    assert wind.mask.dtype == np.int8
    assert set(wind.coords) == {"longitude", "latitude"}
    lon, lat = generator.place("owi", "IW")
    np.testing.assert_array_equal(wind.longitude, lon)
    np.testing.assert_array_equal(wind.latitude, lat)
    waves = tree["osw"].to_dataset()
    assert waves.hs.dims == ("azimuth", "range", "partition")
    np.testing.assert_array_equal(waves.hs, generator.wave_height("IW"))
    np.testing.assert_array_equal(tree["rvl"].rad_vel, generator.radial_velocity("IW"))


def test_wave_mode_is_one_pass(on_disk, sample):
    tree = gl.open_product(product(sample, "WV"))
    waves = tree["osw"].to_dataset()
    assert dict(waves.sizes) == {"image": generator.IMAGES, "azimuth": 1, "range": 1, "partition": 2}
    assert list(waves.image) == [1, 2, 3, 4]
    assert list(waves.swath_name.values) == ["wv1", "wv2", "wv1", "wv2"]
    want = np.stack([generator.wave_height("WV", n) for n in range(generator.IMAGES)])
    np.testing.assert_array_equal(waves.hs, want)
    assert (np.diff(waves.latitude.values.ravel()) < 0).all()


@pytest.mark.parametrize("table", ["S01SIWOCN", "S01SWVOCN"])
def test_every_variable_of_esas_table_has_a_name_of_its_own(shared, table):
    """ESA's table of OCN variables: none is lost, none takes another's name, and axes are never shadowed."""
    text = json.dumps(json.loads((shared / "eopf-structure" / "mapping" / f"{table}.json").read_text())["data_mapping"])
    names = set(re.findall(r'"local_path": "((?:owi|osw|rvl)[A-Z]\w+)"', text))
    assert len(names) > 60
    for component in ("owi", "osw", "rvl"):
        mine = sorted(n for n in names if n.startswith(component))
        file = ocn.xr.Dataset({n: ((f"{component}AzSize", f"{component}RaSize"), np.zeros((2, 3), "f4")) for n in mine})
        made = ocn._component(file, component)
        assert sorted(v.attrs["original_name"] for v in made.variables.values()) == mine
        assert {"longitude", "latitude"} <= set(made.coords)


def test_cube_is_refused(sample):
    with pytest.raises(gl.GeodesError, match="measures in a swath: it cannot be part of a cube"):
        gl.open_cube([product(sample, "IW")], bands=["wind_speed"])


def test_bad_input(sample, altered):
    path = product(sample, "IW")
    with pytest.raises(gl.GeodesError, match="has no measurement"):
        gl.open_product(altered(lambda n, d: None if n.endswith(".nc") else d, path))
    with pytest.raises(gl.GeodesError, match=r"-001\.nc in .* is empty"):
        gl.open_product(altered(lambda n, d: b"" if n.endswith(".nc") else d, path))
    with pytest.raises(gl.GeodesError, match=r"-001\.nc in "):
        gl.open_product(altered(lambda n, d: d[:3000] if n.endswith(".nc") else d, path))
