"""Products of which a part was fetched: what is there is read, what is not is refused by its name, and both are said."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geodes_lab as gl
from geodes_lab.errors import GeodesError


def find(sample: Path, folder: str, pattern: str) -> Path:
    return next(p for p in sorted((sample / "datalake" / folder).rglob("*.zip")) if re.search(pattern, p.name))


def part(source: Path, target: Path, keep: Callable[[str], bool], as_folder: bool) -> Path:
    target.mkdir(parents=True)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target / source.name, "w") as new:
        for info in old.infolist():
            if keep(info.filename):
                new.writestr(info, old.read(info))
    if not as_folder:
        return target / source.name
    with zipfile.ZipFile(target / source.name) as packed:
        packed.extractall(target / "out")
    return next((target / "out").iterdir())


LEVELS = {"l1c": ("sentinel2-l1c", "20210605.*N0300"), "l2a": ("sentinel2-l2a-esa", "MSIL2A.*N0500")}


@pytest.mark.parametrize("as_folder", [False, True], ids=["zip", "folder"])
@pytest.mark.parametrize(
    ("level", "keep", "lost", "other"),
    [
        ("l1c", ("B01",), "B04", "red"), ("l1c", ("B04", "B8A"), "B03", "green"), ("l1c", ("B08", "MSK_"), "B02", "blue"), ("l2a", ("B04_10m", "SCL_20m"), "B03", "green"),
        ("l2a", ("B02_20m",), "B02", "blue"), ("l2a", ("B8A_20m", "SCL_20m"), "B02_20m", "B02_20m"), ("l2a", ("SCL_20m",), "B12", "swir22"),
    ],
)  # fmt: skip
def test_sentinel2(sample, tmp_path, level, keep, lost, other, as_folder):
    source = find(sample, *LEVELS[level])
    here = part(
        source,
        tmp_path / "part",
        lambda n: not n.endswith(".jp2") or any(k in n.rsplit("/", 1)[-1] for k in keep),
        as_folder,
    )
    whole, some = gl.open_product(source), gl.open_product(here)
    assert "missing" not in whole.attrs
    assert lost in some.attrs["missing"]
    named = {
        b.split("_")[0] if b.endswith(("10m", "20m", "60m")) and b[:3] != "B02" else b for b in keep if b != "MSK_"
    }
    seen = 0
    for node in some.subtree:
        for name, values in node.data_vars.items():
            if node.name and re.fullmatch(r"r\d\dm", node.name):
                np.testing.assert_array_equal(values.values, whole[node.path][name].values)
                seen += 1
    assert seen == len(named), "and nothing else"
    for band in (lost, other):
        with pytest.raises(
            GeodesError, match=rf"is incomplete: its metadata list {lost}, but the file is missing\. It has: "
        ):
            gl.open_cube(here, bands=[band])


def test_a_band_is_not_replaced_by_itself_at_another_resolution(sample, tmp_path):
    source = find(sample, *LEVELS["l2a"])
    here = part(source, tmp_path / "part", lambda n: not n.endswith(".jp2") or "B02_20m" in n, False)
    cube = gl.open_cube(here, bands=["B02_20m"])
    np.testing.assert_array_equal(cube["B02_20m"].values, gl.open_cube(source, bands=["B02_20m"])["B02_20m"].values)
    with pytest.raises(GeodesError, match=r"its metadata list B02, but .* It has: B02_20m"):
        gl.open_cube(here, bands=["blue"])


def test_whole_beside_part(sample, tmp_path):
    """What one product of several lacks is no data in its slice, and said."""
    one, other = (
        find(sample, "sentinel2-l1c", "20210605.*N0300"),
        find(sample, "sentinel2-l1c", "20210610|20210615|20210620|202107"),
    )
    here = part(other, tmp_path / "part", lambda n: not n.endswith(".jp2") or n.endswith("_B08.jp2"), True)
    cube = gl.open_cube([one, here], bands=["red", "nir"])
    assert cube.attrs["missing"] == [
        f"{other.stem} is incomplete: the file of red is missing, so the band is no data in its slice."
    ]
    lacking = int(np.flatnonzero([other.stem in p for p in cube["product"].values])[0])
    assert np.isnan(cube.red[lacking].values).all()
    assert not np.isnan(cube.nir[lacking].values).all()


def test_nothing_of_it(sample, tmp_path):
    for name, (folder, pattern) in (LEVELS | {"grd": ("sentinel1-grd", "GRDH")}).items():
        here = part(find(sample, folder, pattern), tmp_path / name, lambda n: not n.endswith((".jp2", ".tiff")), False)
        with pytest.raises(GeodesError, match=r"has no(ne of the images| measurement)"):
            gl.open_product(here)


@pytest.mark.parametrize("as_folder", [False, True], ids=["zip", "folder"])
@pytest.mark.parametrize("all_of_it", [False, True], ids=["measurement", "annotation too"])
def test_sentinel1_of_one_polarisation(sample, tmp_path, as_folder, all_of_it):
    source = find(sample, "sentinel1-grd", "GRDH_1SDV")
    gone = re.compile(r"-vh-.*\.(tiff|xml)$" if all_of_it else r"-vh-.*\.tiff$")
    here = part(source, tmp_path / "part", lambda n: not gone.search(n), as_folder)
    whole, some = gl.open_product(source), gl.open_product(here)
    assert (some.attrs["missing"], "missing" in whole.attrs, "vh" in some.children) == (["vh"], False, False)
    np.testing.assert_array_equal(some["vv"]["dn"].values, whole["vv"]["dn"].values)
    grid: dict[str, Any] = {"resolution": 200}
    np.testing.assert_array_equal(
        gl.open_cube(here, bands=["vv"], **grid).vv.values, gl.open_cube(source, bands=["vv"], **grid).vv.values
    )
    for band, key in (
        ("vh", "sigma0_vh"),
        ("gamma0_vh", "gamma0_vh"),
        ("VH", "sigma0_vh"),
        ("sigma0_vh_denoised", "sigma0_vh"),
    ):
        with pytest.raises(GeodesError, match=f"is incomplete: its metadata list {key}, but the file is missing"):
            gl.open_cube(here, bands=[band])


def test_sentinel1_without_noise(sample, tmp_path):
    source = find(sample, "sentinel1-grd", "GRDH_1SDV")
    here = part(source, tmp_path / "part", lambda n: "noise-" not in n or "-vv-" not in n, False)
    assert gl.open_product(here).attrs["missing"] == ["vv/beta0_denoised", "vv/gamma0_denoised", "vv/sigma0_denoised"]
    assert "sigma0_vh_denoised" in gl.open_cube(here, bands=["sigma0_vh_denoised"], resolution=400)
    with pytest.raises(
        GeodesError, match="is incomplete: its metadata list sigma0_vv_denoised, but the file is missing"
    ):
        gl.open_cube(here, bands=["sigma0_vv_denoised"])


def test_sentinel1_without_an_annotation(sample, tmp_path):
    source = find(sample, "sentinel1-grd", "GRDH_1SDV")
    here = part(source, tmp_path / "part", lambda n: not re.search(r"/s1\w-iw-grd-vh-.*xml$", n), False)
    assert gl.open_product(here).attrs["missing"] == ["vh"]
    with pytest.raises(GeodesError, match="is incomplete: its metadata list sigma0_vh, but the file is missing"):
        gl.open_cube(here, bands=["vh"])


@pytest.mark.parametrize("pattern", ["20210605.*N0300", "20210725.*N0500"])
def test_sentinel2_without_masks(sample, tmp_path, pattern):
    source = find(sample, "sentinel2-l1c", pattern)
    here = part(source, tmp_path / "part", lambda n: "/QI_DATA/" not in n, False)
    assert "missing" not in gl.open_product(source).attrs
    (masks,) = (m for m in gl.open_product(here).attrs["missing"] if "CLASSI" in m or "CLOUDS" in m)
    with pytest.raises(GeodesError, match=f"is incomplete: the file of {masks} with the class 'cloud' is missing"):
        gl.open_cube(here, bands=["red"], mask="cloud")


def test_sentinel1_of_one_swath(sample, tmp_path):
    source = find(sample, "sentinel1-slc/2021/06", "IW_SLC")
    whole = gl.open_product(source)
    first = whole.attrs.get("missing", [])
    with zipfile.ZipFile(source) as packed:
        lost = sorted(n for n in packed.namelist() if n.endswith(".tiff"))[0].rsplit("/", 1)[-1]
    here = part(source, tmp_path / "part", lambda n: not n.endswith(lost), False)
    swath, polarisation = lost.split("-")[1], lost.split("-")[3]
    some = gl.open_product(here)
    assert sorted(set(some.attrs["missing"]) - set(first)) == [f"{swath}/{polarisation}"]
    assert f"/{swath}/{polarisation}" not in some.groups


def test_real_products(shared):
    """Manifests as ESA writes them list more than is there."""
    one = next((shared / "s1-grd-rome").glob("S1B_IW_GRDH*.SAFE"))
    assert (gl.open_product(one).attrs["missing"], "vh" in gl.open_product(one).children) == (["vh"], False)
    other = next((shared / "sentinel1-safe").glob("S1B_IW_SLC*.SAFE"))
    assert gl.open_product(other).attrs["missing"] == ["iw2/vv", "iw3/vh", "iw3/vv"]


# Sen2Cor, run by a user.


def users(source: Path, target: Path, has_offsets: bool) -> Path:
    path = target / re.sub(r"_N\d{4}_", "_N9999_", source.name)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            name, data = re.sub(r"_N\d{4}_", "_N9999_", info.filename), old.read(info)
            if name.endswith(".xml"):
                data = re.sub(rb"_N\d{4}_", b"_N9999_", data)
                data = re.sub(rb"<PROCESSING_BASELINE>[^<]*", b"<PROCESSING_BASELINE>99.99", data)
                if not has_offsets:
                    data = re.sub(
                        rb"<BOA_ADD_OFFSET_VALUES_LIST>.*?</BOA_ADD_OFFSET_VALUES_LIST>", b"", data, flags=re.DOTALL
                    )
            new.writestr(name, data)
    return path


@pytest.mark.parametrize("has_offsets", [False, True])
def test_level_2a_of_a_user(sample, tmp_path, has_offsets):
    source = find(sample, *LEVELS["l2a"])
    made = users(source, tmp_path, has_offsets)
    want = gl.open_cube(source, bands=["red"]).red.values
    cube = gl.open_cube(made, bands=["red"])
    np.testing.assert_allclose(cube.red.values, want if has_offsets else want + np.float32(0.1), atol=1e-6)
    said = (
        []
        if has_offsets
        else [f"{made.stem} was processed by a user (baseline 99.99) and gives no offset, so none is applied."]
    )
    assert cube.attrs.get("assumed", []) == said
    assert gl.open_product(made).attrs.get("assumed", "") == "".join(said)


def test_other_baselines_without_offsets_are_refused(sample, altered):
    source = find(sample, *LEVELS["l2a"])
    cut = altered(
        lambda name, data: re.sub(
            rb"<BOA_ADD_OFFSET_VALUES_LIST>.*?</BOA_ADD_OFFSET_VALUES_LIST>", b"", data, flags=re.DOTALL
        ),
        source,
    )
    with pytest.raises(GeodesError, match=r"has 0 of 13 BOA_ADD_OFFSET: the reflectance would be wrong"):
        gl.open_product(cut)
