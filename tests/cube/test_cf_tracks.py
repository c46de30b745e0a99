"""Files of tracks with CF's attributes, whoever made them: real ones, Jason's groups, and hostile ones."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pystac
import pytest
import xarray as xr

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.sample import waves

COUNT = 50


def track(begin: int = 0, count: int = COUNT, **attrs: str) -> xr.Dataset:
    """As CMEMS writes them: packed integers, longitudes to 360."""
    number = np.arange(begin, begin + count)
    return xr.Dataset(
        {
            "VAVH": ("time", np.where(number == 7, -32767, number).astype("i2"), {
                "scale_factor": 0.001, "_FillValue": np.int16(-32767), "units": "m", "coordinates": "longitude latitude",
                "standard_name": "sea_surface_wave_significant_height"}),
            "spectrum": (("time", "frequency"), np.ones((count, 3), "f4"), {"units": "1"}),
            "crs": ((), 0),
        },
        {
            "time": ("time", number.astype(float), {"units": "seconds since 2022-02-01 00:00:00.0", "standard_name": "time"}),
            "latitude": ("time", (number * 1e5).astype("i4"), {
                "scale_factor": 1e-6, "standard_name": "latitude", "units": "degrees_north"}),
            "longitude": ("time", ((359.0 + number * 0.1) % 360 * 1e6).round().astype("i4"), {
                "scale_factor": 1e-6, "standard_name": "longitude", "units": "degrees_east"}),
        },
        {"platform": "Sentinel-3A", "creation_date": "2022-06-27T13:34:14", **attrs},
    )  # fmt: skip


def write(data: xr.Dataset, path: Path, **options: str) -> Path:
    data.to_netcdf(path, **{"engine": "h5netcdf", **options})
    return path


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
def test_files_become_one_dataset_along_time(tmp_path, engine):
    options = {"engine": engine} | ({"format": "NETCDF3_64BIT"} if engine == "scipy" else {})
    first = write(track(), tmp_path / "a.nc", **options)
    second = write(track(40, platform="Sentinel-3B"), tmp_path / "b.nc", **options)
    data = gl.open_tracks([first, second])
    assert data.sizes["time"] == 100
    assert data.indexes["time"].is_monotonic_increasing
    assert data.VAVH.chunks is not None
    want = xr.open_dataset(first, engine=engine)
    mine = data.isel(time=(data.platform == "Sentinel-3A").values)
    np.testing.assert_allclose(mine.VAVH, want.VAVH, atol=1e-12)
    np.testing.assert_array_equal(mine.time, want.time)
    np.testing.assert_allclose(mine.longitude, (want.longitude + 180) % 360 - 180, atol=1e-9)
    assert set(np.unique(data["product"])) == {"a", "b"}
    assert data.attrs["left_out"] == []
    inside = gl.open_tracks([first, second], bbox=(-0.55, 0, 0.05, 90), variables=["VAVH"])
    assert list(inside.data_vars) == ["VAVH"]
    np.testing.assert_allclose(inside.longitude, np.arange(-0.5, 0.01, 0.1).round(1), atol=1e-9)
    assert gl.open_product(first)["track"].VAVH.sizes == {"time": COUNT}


def test_of_two_makings_of_one_time_the_later_is_used(tmp_path):
    old = write(track(), tmp_path / "old.nc")
    new = write(track(25, creation_date="2023-01-01").assign_attrs(note="x"), tmp_path / "new.nc")
    again = write(track(creation_date="2021-01-01"), tmp_path / "oldest.nc")
    data = gl.open_tracks([old, again, new, old])
    assert data.sizes["time"] == 75
    assert list(data["product"].values) == ["old"] * 25 + ["new"] * 50
    assert data.attrs["repeated_records"] == 25 + 50
    assert data.attrs["superseded"] == ["oldest"]


def test_names_come_from_attributes_and_groups_are_rates(tmp_path):
    """Jason-3's GDR-F: a group for each rate, in it one for each band; and another's names for time and place."""
    path = tmp_path / "JA3_GPN_2PfP.nc"
    with h5py.File(path, "w") as file:
        file.attrs["mission_name"] = "Jason-3"
        for rate, count in (("data_01", 20), ("data_20", 400)):
            group = file.create_group(rate)
            for name, values, attrs in (
                (
                    "time",
                    np.arange(count) + 0.5,
                    {"units": "seconds since 2000-01-01 00:00:00.0", "standard_name": "time"},
                ),
                ("latitude", np.linspace(0, 1, count), {"units": "degrees_north", "standard_name": "latitude"}),
                ("longitude", np.linspace(0, 1, count), {"units": "degrees_east", "standard_name": "longitude"}),
                ("altitude", np.full(count, 1_336_000.0), {"units": "m"}),
            ):
                group[name] = values
                group[name].attrs.update(attrs)
            group["time"].make_scale("time")
            for name in ("latitude", "longitude", "altitude"):
                group[name].dims[0].attach_scale(group["time"])
            ku = group.create_group("ku")
            ku["range_ocean"] = np.full(count, 1_335_990.0)
            ku["range_ocean"].attrs["units"] = "m"
            ku["range_ocean"].dims[0].attach_scale(group["time"])
    data = gl.open_tracks(path)
    assert data.sizes["time"] == 20
    assert set(data.data_vars) == {"altitude", "range_ocean_ku"}
    assert data["platform"].values[0] == "Jason-3"
    np.testing.assert_allclose(gl.sea_level_anomaly(data, [], reference="ellipsoid"), 10.0)
    assert gl.open_tracks(path, node="data_20").sizes["time"] == 400
    with pytest.raises(GeodesError, match="has no node 'ku'"):
        gl.open_tracks(path, node="ku")
    other = track().rename({"time": "obs_time", "longitude": "x", "latitude": "y"}).swap_dims({"obs_time": "obs"})
    named = gl.open_tracks(write(other.reset_coords(), tmp_path / "peachi.nc"))
    assert named.VAVH.dims == ("time",)
    assert named.indexes["time"][0].isoformat() == "2022-02-01T00:00:00"


def test_what_is_no_track_is_refused_in_a_sentence(tmp_path):
    grid = xr.Dataset({"z": (("lat", "lon"), np.ones((3, 4)))}, {
        "lat": ("lat", np.arange(3.0), {"units": "degrees_north"}), "lon": ("lon", np.arange(4.0), {"units": "degrees_east"}),
        "time": ("time", [0.0], {"units": "days since 2000-01-01", "standard_name": "time"})})  # fmt: skip
    early, no_place, wrong, far = track(), track(), track(), track()
    early.time.attrs["units"] = "seconds since the flood"
    no_place = no_place.drop_vars("latitude")
    wrong.latitude.attrs["scale_factor"] = 1.0
    far.time.values[3] = 1e300
    other_units = track(60)
    other_units.VAVH.attrs["units"] = "cm"
    good = write(track(), tmp_path / "good.nc")
    for name, data, said in (
        ("grid", grid, "it is a grid, not a file of tracks"),
        ("early", early, "no variable of one dimension with CF's attributes of time|cannot be decoded"),
        ("place", no_place, "attributes of latitude"),
        ("wrong", wrong, "from -90 to 90 degrees"),
        ("far", far, "cannot be decoded"),
        ("units", other_units, "VAVH is in"),
    ):
        path = write(data, tmp_path / f"{name}.nc")
        with pytest.raises(GeodesError, match=said) as caught:
            gl.open_tracks([good, path])
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
    cut = tmp_path / "cut.nc"
    cut.write_bytes(good.read_bytes()[:3000])
    text = tmp_path / "text.nc"
    text.write_text("<html>not found</html>")
    for path, said in ((cut, "cannot be read as NetCDF"), (text, "is not a NetCDF file")):
        with pytest.raises(GeodesError, match=said):
            gl.open_tracks(path)
    with pytest.raises(GeodesError, match="did you mean 'VAVH'"):
        gl.open_tracks(good, variables=["VAVHH"])
    with pytest.raises(GeodesError, match="has a record in bbox"):
        gl.open_tracks(good, bbox=(100, 40, 101, 41))
    with pytest.raises(GeodesError, match="not an image"):
        gl.open_cube([good], bands=["VAVH"])


@pytest.mark.attack
def test_hostile_files_are_refused_before_they_are_read(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["VAVH"] = np.arange(COUNT)
    linked, huge = write(track(), tmp_path / "linked.nc"), tmp_path / "huge.nc"
    with h5py.File(linked, "r+") as file:
        del file["VAVH"]
        file["VAVH"] = h5py.ExternalLink("secret.h5", "/VAVH")
    with h5py.File(huge, "w") as file:
        for name, units in (("time", "seconds since 2000-01-01"), ("lat", "degrees_north"), ("lon", "degrees_east")):
            file.create_dataset(name, (2**33,), "f8", chunks=(2**20,), compression="gzip")
            file[name].attrs["units"] = units
        file["time"].make_scale("time")
        for name in ("lat", "lon"):
            file[name].dims[0].attach_scale(file["time"])
    group = tmp_path / "group.nc"
    with h5py.File(group, "w") as file:
        file["data_01"] = h5py.ExternalLink("secret.h5", "/")
    for path, said in ((linked, "to another file"), (group, "to another file"), (huge, "than the 64.00 MiB")):
        with pytest.raises(GeodesError, match=said):
            gl.open_tracks(path)


def test_items_of_a_catalogue(tmp_path):
    path = write(track(), tmp_path / "a.nc")
    item = pystac.Item("pass", None, None, None, {"start_datetime": None, "end_datetime": None})
    item.add_asset("wave", pystac.Asset(str(path), media_type="application/x-netcdf"))
    assert gl.open_tracks([item]).sizes["time"] == COUNT
    item.add_asset("wind", pystac.Asset(str(path), media_type="application/x-netcdf"))
    with pytest.raises(GeodesError, match="2 assets that are NetCDF"):
        gl.open_tracks([item])


def test_real_wave_heights(shared):
    """Against xarray's own reading of one file."""
    path = min((shared / "s3-along-track" / "s3a").glob("*.nc"))
    data, want = gl.open_tracks(path), xr.open_dataset(path, engine="h5netcdf")
    xr.testing.assert_allclose(
        data[["VAVH", "VAVH_UNFILTERED", "WIND_SPEED"]].compute().drop_vars(["platform", "product"]),
        want[["VAVH", "VAVH_UNFILTERED", "WIND_SPEED"]].assign_coords(longitude=(want.longitude + 180) % 360 - 180),
    )
    assert data["platform"].values[0] == "Sentinel-3A"


def test_the_storm_of_the_sample_through_s3(on_s3):
    items = gl.search("CMEMS_WAVE_L3", product_type="WAVE_L3", profile="local")
    data = gl.open_tracks(items, bbox=(-10, 40, -2, 50), variables=["VAVH"])
    assert set(np.unique(data["platform"])) == {"Sentinel-3A", "Sentinel-3B"}
    seconds = (data.time - np.datetime64(waves.BEGIN.replace(tzinfo=None), "ns")) / np.timedelta64(1, "s")
    error = data.VAVH - waves.wave_height(data.longitude, data.latitude, seconds)
    assert float(error.std()) == pytest.approx(waves.NOISE, rel=0.1)
    buoy = gl.open_tracks(gl.search("CMEMS_WAVE_L3", product_type="WAVE_BUOY", profile="local"))
    assert buoy.VHM0.sizes == {"time": 24 * waves.DAYS}
