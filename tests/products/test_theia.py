"""Theia's Sentinel-2: nodata, scale, masks and grid that only the XML tells; written here from the public description."""

from __future__ import annotations

import zipfile
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.io import MemoryFile

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.reading import window
from geodes_lab.sample import theia as generator

NAME = "SENTINEL2A_20210605-105031-024_L2A_T31TCJ_C_V2-2"
WEST, NORTH, SIDE = 300_000, 4_900_020, 120
BANDS = {"B2": 10, "B3": 10, "B4": 10, "B8": 10, "B5": 20, "B8A": 20, "B11": 20}


def numbers(band: str, kind: str) -> np.ndarray:
    rng = np.random.default_rng(sum(f"{band}{kind}".encode()))
    side = SIDE * 10 // BANDS[band]
    made = rng.integers(-50, 9000, (side, side)).astype("int16")
    made[: side // 6] = -10000
    return made


def clouds(resolution: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[30:60, 40:80] = 0b0000_0011  # a cloud
    mask[60:70, 40:80] = 0b0000_0101  # its shadow
    mask[90:100, 10:30] = 0b1000_0000  # cirrus
    return mask[:: resolution // 10, :: resolution // 10]


def tiff(image: np.ndarray, resolution: int) -> bytes:
    """As MAJA writes it: with a grid, and without nodata or scale."""
    profile = {"driver": "GTiff", "count": 1, "height": image.shape[0], "width": image.shape[1], "dtype": image.dtype}
    grid = {"crs": "EPSG:32631", "transform": Affine(resolution, 0, WEST, 0, -resolution, NORTH)}
    with MemoryFile() as memory:
        with memory.open(**profile, **grid, compress="deflate", tiled=True, blockxsize=64, blockysize=64) as file:
            file.write(image, 1)
        return bytes(memory.read())


def xml(nodata: str = '<SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE>') -> str:
    groups = "".join(
        f'<Group_Geopositioning group_id="R{n}"><ULX>{WEST}</ULX><ULY>{NORTH}</ULY><XDIM>{10 * n}</XDIM><YDIM>{-10 * n}'
        f"</YDIM><NROWS>{SIDE // n}</NROWS><NCOLS>{SIDE // n}</NCOLS></Group_Geopositioning>"
        for n in (1, 2)
    )
    return (
        f"<Muscate_Metadata_Document><Product_Characteristics><PRODUCT_ID>{NAME}</PRODUCT_ID><ACQUISITION_DATE>"
        "2021-06-05T10:50:31.024Z</ACQUISITION_DATE></Product_Characteristics><Geoposition_Informations>"
        "<Coordinate_Reference_System><Horizontal_Coordinate_System><HORIZONTAL_CS_CODE>32631</HORIZONTAL_CS_CODE>"
        "</Horizontal_Coordinate_System></Coordinate_Reference_System><Geopositioning><Group_Geopositioning_List>"
        f"{groups}</Group_Geopositioning_List></Geopositioning></Geoposition_Informations><Radiometric_Informations>"
        "<REFLECTANCE_QUANTIFICATION_VALUE>10000.0</REFLECTANCE_QUANTIFICATION_VALUE><Special_Values_List>"
        f"{nodata}</Special_Values_List></Radiometric_Informations></Muscate_Metadata_Document>"
    )


def write(path: Path, metadata: str | None = None, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(f"{NAME}/{NAME}_MTD_ALL.xml", xml() if metadata is None else metadata, zipfile.ZIP_DEFLATED)
        for band, resolution in BANDS.items():
            for kind in ("FRE", "SRE"):
                archive.writestr(f"{NAME}/{NAME}_{kind}_{band}.tif", tiff(numbers(band, kind), resolution))
        for group in (1, 2):
            for kind in ("CLM", "MG2", "EDG", "SAT"):
                image = clouds(10 * group) if kind == "CLM" else np.zeros((SIDE // group, SIDE // group), np.uint8)
                archive.writestr(f"{NAME}/MASKS/{NAME}_{kind}_R{group}.tif", tiff(image, 10 * group))
    return path


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return write(tmp_path / f"{NAME}.zip")


def want(band: str, kind: str = "FRE") -> np.ndarray:
    raw = numbers(band, kind)
    return np.where(raw == -10000, np.nan, raw.astype("float32") * np.float32(1e-4))


@pytest.mark.parametrize("name", ["red", "B4", "B04", "FRE_B4"])
def test_band_has_every_name_it_is_known_by(product, name):
    cube = gl.open_cube([product], bands=[name])
    np.testing.assert_array_equal(cube[name].values[0], want("B4"))
    assert str(cube.time.values[0]).startswith("2021-06-05T10:50:31.024")


def test_reflectance_before_the_correction_for_slopes_is_another_band(product):
    cube = gl.open_cube([product], bands=["SRE_B4", "swir16"], resolution=20)
    assert not np.array_equal(cube["SRE_B4"].values, gl.open_cube([product], bands=["red"], resolution=20).red.values)
    np.testing.assert_array_equal(cube.swir16.values[0], want("B11"))


def test_tree_has_both_resolutions_both_reflectances_and_the_masks(product):
    tree = gl.open_product(product)
    assert set(tree.children) == {"r10m", "r20m"}
    np.testing.assert_array_equal(tree["r10m"].nir.values, want("B8"))
    np.testing.assert_array_equal(tree["r20m/sre"].B8A.values, want("B8A", "SRE"))
    np.testing.assert_array_equal(tree["r20m"].clm.values, clouds(20))
    assert tree["r10m"].clm.attrs["flag_meanings"] == "cloud cloud_shadow cirrus"
    assert tree["r10m"].red.attrs["standard_name"] == "surface_bidirectional_reflectance"


@pytest.mark.parametrize(
    ("mask", "hidden"),
    [
        ("cloud", clouds(10) & 0b10),
        (["cloud", "cloud_shadow"], clouds(10) & 0b1110),
        (["cirrus"], clouds(10) & 0b1000_0000),
        ({"CLM_R1": [3]}, clouds(10) == 3),
    ],
)
def test_mask_hides_what_its_bits_say(product, mask, hidden):
    cube = gl.open_cube([product], bands=["red"], mask=mask)
    np.testing.assert_array_equal(cube.red.values[0], np.where(hidden, np.nan, want("B4")))


def test_zip_on_s3_is_read_by_tiles(on_s3, sample):
    folder = sample / "datalake" / "theia"
    folder.mkdir(exist_ok=True)
    try:
        write(folder / f"{NAME}.zip")
        window.ways.clear()
        cube = gl.open_cube([f"s3://theia/{NAME}.zip"], bands=["red", "B8A"], mask="cloud")
        found = cube.compute(scheduler="threads")
        np.testing.assert_array_equal(found.red.values[0], np.where(clouds(10) & 2, np.nan, want("B4")))
        assert set(window.ways) == {"tiles"}
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def surface(scene, kind: str, band: str) -> np.ndarray:
    raw = scene.numbers(kind, band)
    return np.where(raw == -10000, np.nan, raw / 10_000)


def test_sample_is_the_truth_without_its_clouds(on_s3, sample):
    """The Items as GEODES gives them: an XML has the role of data too, and the zip is not the first asset."""
    items = gl.search("THEIA_REFLECTANCE_SENTINEL2_L2A", datetime="2021-07-20/2021-08")
    cube = gl.open_cube(items, bands=["red", "SRE_B8"], mask="cloud").compute(scheduler="threads")
    for number, scene in enumerate(generator.scenes()[:2]):
        hidden = (scene.mask("CLM", "R1") & 2) > 0
        np.testing.assert_allclose(
            cube.red.values[number], np.where(hidden, np.nan, surface(scene, "FRE", "B4")), atol=1e-6
        )
        np.testing.assert_allclose(
            cube["SRE_B8"].values[number], np.where(hidden, np.nan, surface(scene, "SRE", "B8")), atol=1e-6
        )
        assert str(cube.product.values[number]) == scene.name
        path = next((sample / "datalake").rglob(f"{scene.name}.zip"))
        with rasterio.open(f"/vsizip/{path}/{scene.name}/{scene.name}_FRE_B4.tif") as file:
            np.testing.assert_array_equal(file.read(1), scene.numbers("FRE", "B4"))
    assert ((generator.scenes()[0].mask("CLM", "R1") & 2) > 0).any()
    assert (generator.scenes()[1].numbers("FRE", "B4") == -10000).any()


def test_folder_opens_as_its_zip(product, tmp_path):
    zipfile.ZipFile(product).extractall(tmp_path / "there")
    tree = gl.open_product(tmp_path / "there" / NAME)
    np.testing.assert_array_equal(tree["r10m"].nir.values, want("B8"))


def more(path: Path, words: str, files: dict[str, np.ndarray]) -> Path:
    """Give a product more metadata and more files of 10 m."""
    metadata = xml().replace("<Special_Values_List>", words + "<Special_Values_List>")
    write(path, metadata)
    with zipfile.ZipFile(path, "a") as archive:
        for name, image in files.items():
            archive.writestr(f"{NAME}/{NAME}_{name}.tif", tiff(image, 10))
    return path


def test_atmosphere_is_scaled_by_its_own_words(tmp_path):
    air = np.zeros((SIDE, SIDE), np.uint8) + np.uint8([[30]])
    air[0] = 0
    with MemoryFile() as memory:
        grid = {"crs": "EPSG:32631", "transform": Affine(10, 0, WEST, 0, -10, NORTH)}
        with memory.open(driver="GTiff", count=2, height=SIDE, width=SIDE, dtype="uint8", **grid) as file:
            file.write(np.stack([air, air * 2]))
        both = bytes(memory.read())
    words = (
        "<WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE>20</WATER_VAPOR_CONTENT_QUANTIFICATION_VALUE>"
        "<AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE>200</AEROSOL_OPTICAL_THICKNESS_QUANTIFICATION_VALUE>"
        '<SPECIAL_VALUE name="water_vapor_content_nodata">0</SPECIAL_VALUE>'
        '<SPECIAL_VALUE name="aerosol_optical_thickness_nodata">0</SPECIAL_VALUE>'
    )
    path = more(tmp_path / f"{NAME}.zip", words, {})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{NAME}/{NAME}_ATB_R1.tif", both)
    tree = gl.open_product(path)
    for key, value, units in (("wvc", 30 / 20, "g cm-2"), ("aot", 60 / 200, "1")):
        got = tree["r10m"][key]
        np.testing.assert_allclose(got.values[1:], value, atol=1e-6)
        assert np.isnan(got.values[0]).all()
        assert got.attrs["units"] == units


def test_status_of_a_synthesis_hides_its_clouds(tmp_path):
    status = np.full((SIDE, SIDE), 4, np.uint8)
    status[:20], status[20:40] = 1, 3
    path = more(tmp_path / f"{NAME}.zip", "", {"FLG_R1": status})
    cube = gl.open_cube([path], bands=["SRE_B4"], mask=["water", "snow"])
    hidden = status == 3
    np.testing.assert_array_equal(cube["SRE_B4"].values[0], np.where(hidden, np.nan, want("B4", "SRE")))
    assert gl.open_product(path)["r10m"].flg.attrs["flag_meanings"].split()[4] == "land"


def test_deflated_members_give_the_same_pixels(tmp_path):
    path = write(tmp_path / f"{NAME}.zip", method=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(gl.open_cube([path], bands=["red"]).red.values[0], want("B4"))


def test_band_item_names_one_band_an_asset(product):
    item = products.unpack(product)
    item.datetime = item.datetime
    assert {len(a.extra_fields["bands"]) for a in item.assets.values()} == {1}
    assert item.assets["FRE_B4"].extra_fields["nodata"] == -10000
    assert item.assets["FRE_B4"].extra_fields["raster:scale"] == 1e-4
    assert products.unpack(item) is item


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (xml(nodata=""), r"has no SPECIAL_VALUE\[@name='nodata'\]: it is damaged"),
        (xml().replace("REFLECTANCE_QUANTIFICATION_VALUE", "X"), "has no REFLECTANCE_QUANTIFICATION_VALUE"),
        (xml().replace("ULX", "X"), "has no ULX: it is damaged"),
        (xml()[:200], "is not valid XML"),
    ],
)
def test_damaged_metadata_is_one_sentence(tmp_path, metadata, sentence):
    path = write(tmp_path / f"{NAME}.zip", metadata)
    with pytest.raises(gl.GeodesError, match=sentence):
        gl.open_cube([path], bands=["red"])


def test_products_of_both_levels_meet_in_one_cube_with_their_own_radiometry(product, on_disk):
    """L1C of ESA and L2A of MAJA, on one grid that the user gives."""
    l1c = gl.search("PEPS_S2_L1C", datetime="2021-06-05")[:1]
    with dask.config.set({"geodes_lab.cluster.cores": 1}):
        cube = gl.open_cube([*l1c, product], bands=["red"], groupby="item", crs="EPSG:32631", resolution=10)
    assert cube.sizes["time"] == 2


def test_angles_are_a_node_of_a_tree_and_bands_of_a_cube(sample):
    """The same numbers: `test_angle_bands` has their oracle."""
    path = next((sample / "datalake").rglob("SENTINEL2A_*_L2A_T31TCJ_*.zip"))
    node = gl.open_product(path)["r20m/angles"].to_dataset()
    names = ["sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth", "relative_azimuth"]
    assert sorted(node.data_vars) == sorted(names)
    assert {one.attrs["units"] for one in node.data_vars.values()} == {"degree"}
    cube = gl.open_cube(path, bands=names, like=node.sun_zenith)
    for name in names:
        assert np.isfinite(node[name]).any()
        np.testing.assert_allclose(cube[name][0].values, node[name].values, atol=1e-4)
