"""Whole products that are damaged or hostile, each told by its family and a seed: bytes, XML, zips, TIFF, JPEG 2000, HDF5, Zarr."""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import warnings
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import rasterio
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords

from tests.support.paths import TOP

SHARED = TOP.parent / "shared" / "data"
ZIPS = {
    "sentinel1-grd": "sentinel1-grd",
    "sentinel1-slc": "sentinel1-slc/2021/06/06",
    "sentinel1-ocn": "sentinel1-ocn",
    "sentinel2-l1c": "sentinel2-l1c/31/T/DJ/2021/08/14",
    "sentinel2-l1c-old": "sentinel2-l1c/31/T/CJ/2021/06/20",
    "sentinel2-l2a": "sentinel2-l2a-esa",
    "sentinel3-l1": "sentinel3-sral-l1",
    "sentinel3-l2": "sentinel3-sral-l2",
    "spot": "swh-l1a",
    "spot-ortho": "muscate/SPOTWORLDHERITAGE",
    "s1tiling": "sentinel1-s1tiling",
    "theia": "sentinel2-l2a-sprid",
    "venus": "muscate/VENUS",
    "theia-raster": "muscate/OSO",
}
POSTEL, ZARR, RASTER = ("postel", "postel-gz"), ("zarr-2", "zarr-3", "zarr-shards"), ("tif", "cog", "jp2")
REAL = {  # of ../shared/data, where that is
    "real-sentinel2-layouts": "sentinel2-safe-layouts",
    "real-sentinel2": "sentinel2-metadata",
    "real-sentinel1": "sentinel1-safe",
    "real-sentinel1-trimmed": "sentinel1-safe-trimmed",
    "real-insar": "s1-insar-pair",
    "real-altimetry": "sentinel3-altimetry",
    "real-dimap": "spot-dimap",
}
FAMILIES = (*ZIPS, *POSTEL, *ZARR, *RASTER, *(name for name, folder in REAL.items() if (SHARED / folder).exists()))
NUMBERS = (0, 1, 2, 255, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
WORDS = [
    "", "-5", "0", "inf", "nan", "x", "1e9", "9" * 400, "1 2", "2021-99-99T99:99:99", "true", "EPSG:4326", "1e400", "-1", "2147483648",
    "4294967295", "1000000", "16777216", "1e15", "../../canary/secret.tif", "$CANARY/secret.tif", "/etc/passwd", "file:///etc/passwd", "%s%n",
    "1 " * 100_000, "a" * 100_000, "/vsicurl/http://127.0.0.1:9/x",
]  # fmt: skip


class Maker:
    """Makes products of a family out of seeds, in a folder that is made anew for each.

    Parameters
    ----------
    sample
        The sample datalake.
    canary
        A folder with files that no product may reach: what is hostile names them. See `lay`.
    """

    def __init__(self, sample: Path, canary: Path) -> None:
        self.sample, self.canary = sample, canary
        self._whole: dict[str, list[Path]] = {}

    def make(self, family: str, seed: int, folder: Path) -> tuple[Path, str]:
        """Make a product; gives its path, and a word on what was done to it."""
        rng = random.Random(f"{family}{seed}")
        if family in RASTER:
            return self._raster(family, rng, folder)
        if family in POSTEL:
            return self._postel(family, rng, folder)
        if family in ZARR:
            return self._zarr(family, rng, folder)
        source = rng.choice(self._sources(family))
        if source.is_dir():
            return self._folder(source, rng, folder)
        path = folder / source.name
        if rng.random() < 0.12:
            path.write_bytes(damaged_tail(source.read_bytes(), rng))
            return path, "the zip's list"
        if rng.random() < 0.15:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(folder / "out")
            (root, *_) = sorted((folder / "out").iterdir())
            return self._folder(root, rng, folder, copy=False)
        return path, self._zip(source, path, rng)

    def _sources(self, family: str) -> list[Path]:
        if family not in self._whole:
            if family in ZIPS:
                found = sorted((self.sample / "datalake" / ZIPS[family]).rglob("*.zip"))
                found = [min(found, key=lambda p: p.stat().st_size)] if family.startswith("sentinel2") else found
            else:
                root = SHARED / REAL[family]
                found = [p for p in sorted(root.rglob("*.SAFE")) if p.is_dir()] + sorted(root.rglob("*.zip"))
                found += [p for p in sorted(root.rglob("*.SEN3")) if p.is_dir()]
                found += [p.parent for p in sorted(root.rglob("*.DIM"))]
                found = found or [root]
            self._whole[family] = found
        return self._whole[family]

    def _zip(self, source: Path, path: Path, rng: random.Random) -> str:
        """The same zip with one or two members altered, so that its sums are right again; sometimes with what no zip should have."""
        with zipfile.ZipFile(source) as old:
            infos = [i for i in old.infolist() if not i.is_dir()]
            chosen = {_choose([i.filename for i in infos], rng) for _ in range(rng.randint(1, 2))}
            said = []
            with zipfile.ZipFile(path, "w") as new:
                for info in infos:
                    data = old.read(info)
                    if info.filename in chosen:
                        data, what = self.altered(info.filename, data, rng)
                        said.append(f"{info.filename.rsplit('/', 1)[-1]}: {what}")
                        info.compress_type = rng.choice([info.compress_type, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
                    new.writestr(info, data)
                if rng.random() < 0.05:
                    said.append(_strange_member(new, infos, rng))
        return ", ".join(said)

    def _folder(self, source: Path, rng: random.Random, folder: Path, copy: bool = True) -> tuple[Path, str]:
        path = folder / source.name
        if copy:
            shutil.copytree(source, path, symlinks=True)
        else:
            source.rename(path)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        said: list[str] = []
        for _ in range(rng.randint(1, 3) if files else 0):
            one = files[[str(f) for f in files].index(_choose([str(f) for f in files], rng))]
            match rng.randrange(6):
                case 0:
                    one.unlink(missing_ok=True)
                    target = rng.choice(["secret.tif", "secret.jp2", "secret.xml", "secret.nc"])
                    one.symlink_to(self.canary / target)
                    said.append(f"{one.name} is a link to {target}")
                case 1:
                    beside = one.with_name(one.name + rng.choice([".ovr", ".msk", ".aux.xml", ".OVR"]))
                    beside.write_text(rng.choice([vrt(self.canary), pam(self.canary)]))
                    said.append(f"{beside.name} beside it")
                case _:
                    if one.exists() and not one.is_symlink():
                        data, what = self.altered(str(one), one.read_bytes(), rng)
                        one.chmod(0o644)
                        one.write_bytes(data)
                        said.append(f"{one.name}: {what}")
        return path, ", ".join(said)

    def _raster(self, family: str, rng: random.Random, folder: Path) -> tuple[Path, str]:
        name = "a.jp2" if family == "jp2" else "a.tif"
        options: dict[str, Any] = rng.choice(
            {
                "tif": [
                    {"driver": "GTiff", "tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"},
                    {"driver": "GTiff", "compress": "lzw", "BIGTIFF": "YES"},
                    {"driver": "GTiff", "compress": "jpeg", "tiled": True, "blockxsize": 64, "blockysize": 64},
                    {"driver": "GTiff", "compress": "lzma", "interleave": "band"},
                ],
                "cog": [
                    {"driver": "COG", "compress": c, "blocksize": 128} for c in ("zstd", "deflate", "lerc", "webp")
                ],
                "jp2": [
                    {"driver": "JP2OpenJPEG", "BLOCKXSIZE": 128, "BLOCKYSIZE": 128},
                    {"driver": "JP2OpenJPEG", "CODEC": "J2K"},
                    {"driver": "JP2OpenJPEG", "PROGRESSION": "RPCL", "PRECINCTS": "{128,128},{64,64}"},
                ],
            }[family]
        )
        count = 3 if options.get("compress") in ("jpeg", "webp") else rng.choice([1, 1, 3])
        kind = "uint8" if count == 3 and options.get("compress") in ("jpeg", "webp") else "uint16"
        path = folder / name
        pixels = np.random.default_rng(5).integers(0, 250, (count, 300, 260)).astype(kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            profile = {"width": 260, "height": 300, "count": count, "dtype": kind, "crs": "EPSG:32631"}
            transform = Affine(10, 0, 3e5, 0, -10, 4.8e6)
            with rasterio.open(path, "w", transform=transform, **profile, **options) as file:
                file.write(pixels)
        match rng.randrange(8):
            case 0 if name == "a.tif":
                path.write_text(vrt(self.canary))
                return path, "a VRT by another name"
            case 1:
                beside = path.with_name(name + rng.choice([".ovr", ".msk", ".aux.xml", ".aux"]))
                beside.write_text(rng.choice([vrt(self.canary), pam(self.canary)]))
                return path, f"{beside.name} beside it"
            case 2 if family == "tif":
                with rasterio.open(path, "r+") as file:
                    file.update_tags(
                        ns="OVERVIEWS", OVERVIEW_FILE=str(self.canary / rng.choice(["secret.tif", "secret.vrt"]))
                    )
                return path, "overviews in another file"
            case _:
                data, what = self.altered(name, path.read_bytes(), rng)
                path.write_bytes(data)
                return path, what

    def _postel(self, family: str, rng: random.Random, folder: Path) -> tuple[Path, str]:
        suffix = ".gz" if family.endswith("gz") else ".h5"
        source = next(iter((self.sample / "datalake" / "postel").rglob(f"*{suffix}")))
        path = folder / source.name
        if suffix == ".h5" and rng.random() < 0.3:
            with h5py.File(path, "w") as file:
                said = _hostile_hdf5(file, self.canary, rng)
            return path, said
        data, what = self.altered(source.name, source.read_bytes(), rng)
        path.write_bytes(data)
        return path, what

    def _zarr(self, family: str, rng: random.Random, folder: Path) -> tuple[Path, str]:
        path = folder / "a.zarr"
        write_zarr(path, 2 if family == "zarr-2" else 3, family == "zarr-shards", rng)
        files = sorted(p for p in path.rglob("*") if p.is_file())
        said = []
        for _ in range(rng.randint(1, 3)):
            described = [f for f in files if f.name.startswith((".z", "zarr.json"))]
            one = files.pop(files.index(rng.choice(described if described and rng.random() < 0.75 else files)))
            if one.name.startswith((".z", "zarr.json")) and rng.random() < 0.75:
                document = json.loads(one.read_bytes())
                said.append(f"{one.relative_to(path)}: {_altered_json(document, self.canary, rng)}")
                one.write_text(json.dumps(document))
            elif rng.random() < 0.2:
                one.unlink()
                one.symlink_to(self.canary / rng.choice(["secret.bin", "secret.zarr/0.0", "secret.json"]))
                said.append(f"{one.relative_to(path)} is a link")
            else:
                data = one.read_bytes()
                one.write_bytes(damaged(data, rng, 60 if rng.random() < 0.5 else None))
                said.append(f"{one.relative_to(path)}: bytes")
        return path, ", ".join(said)

    def altered(self, name: str, data: bytes, rng: random.Random) -> tuple[bytes, str]:
        """A member with something wrong about it, by the kind of file that it is."""
        low = name.lower()
        if low.endswith((".xml", ".dim", ".gml", ".safe")):
            way = rng.randrange(8)
            if way < 4:
                try:
                    return restructured(data, self.canary, rng), "XML"
                except ET.ParseError:
                    way = 9
            if way == 4:
                return _bomb_xml(data, self.canary, rng)
        elif low.endswith((".tif", ".tiff")) and rng.random() < 0.7:
            if rng.random() < 0.12:
                return vrt(self.canary).encode(), "a VRT"
            return altered_tiff(data, self.canary, rng)
        elif low.endswith((".jp2", ".j2k")) and rng.random() < 0.7:
            return altered_jp2(data, self.canary, rng)
        elif low.endswith((".nc", ".h5")):
            if rng.random() < 0.25 and data[:4] == b"\x89HDF":
                made = io.BytesIO(data)
                try:
                    with h5py.File(made, "r+") as file:
                        said = _hostile_hdf5(file, self.canary, rng)
                    return made.getvalue(), said
                except Exception:  # a file that h5py cannot change is damaged below
                    pass
            return damaged(data, rng, rng.choice([None, 2000, 20_000])), "bytes"
        return damaged(data, rng, rng.choice([None, 400])), "bytes"


def lay(folder: Path) -> Path:
    """Lay out what no product may reach: rasters, HDF5, XML, a Zarr; gives the folder."""
    folder.mkdir(parents=True)
    profile = {"width": 130, "height": 150, "count": 1, "dtype": "uint16", "crs": "EPSG:32631"}
    transform = Affine(20, 0, 3e5, 0, -20, 4.8e6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, driver in (("secret.tif", "GTiff"), ("secret.jp2", "JP2OpenJPEG")):
            with rasterio.open(folder / name, "w", driver=driver, transform=transform, **profile) as file:
                file.write(np.full((150, 130), 777, "uint16"), 1)
    (folder / "secret.vrt").write_text(vrt(folder))
    (folder / "secret.xml").write_text("<secret>777</secret>")
    (folder / "secret.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    (folder / "secret.bin").write_bytes(b"\x09\x03" * 65536)
    for name in ("secret.h5", "secret.nc"):
        with h5py.File(folder / name, "w") as file:
            file["secret"] = np.full((300, 600), 7, "u1")
    (folder / "secret.zarr").mkdir()
    (folder / "secret.zarr" / "0.0").write_bytes(b"\x09\x03" * 65536)
    return folder


def vrt(canary: Path) -> str:
    """A VRT that reads the canary's raster."""
    return (
        '<VRTDataset rasterXSize="130" rasterYSize="150"><SRS>EPSG:32631</SRS><GeoTransform>3e5,20,0,4.8e6,0,-20</GeoTransform>'
        '<VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{canary}/secret.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )


def pam(canary: Path) -> str:
    """What GDAL keeps beside a raster, naming the overviews of another."""
    return (
        '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">'
        f"{canary}/secret.vrt</MDI></Metadata></PAMDataset>"
    )


def _choose(names: list[str], rng: random.Random) -> str:
    """A member; what describes more often than what is described."""
    described = [n for n in names if n.lower().endswith((".xml", ".dim", ".gml", ".nc", ".safe"))]
    images = [n for n in names if n.lower().endswith((".tif", ".tiff", ".jp2"))]
    return rng.choice(rng.choice([g for g in (described, described, images, names) if g]))


def damaged(data: bytes, rng: random.Random, within: int | None = None) -> bytes:
    """Bytes flipped, dropped, doubled, set or cut off; ``within`` the first so many."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if not found:
            break
        at = rng.randrange(min(len(found), within or len(found)))
        match rng.randrange(7):
            case 0 | 1:
                found[at] ^= 1 << rng.randrange(8)
            case 2:
                del found[at : at + rng.randint(1, 100)]
            case 3:
                found[at:at] = found[at : at + rng.randint(1, 100)]
            case 4:
                found[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(NUMBERS))
            case 5:
                found[at : at + 1] = bytes([rng.choice([0, 1, 127, 128, 255])])
            case 6 if rng.random() < 0.2:
                del found[at:]
    return bytes(found)


def damaged_tail(data: bytes, rng: random.Random) -> bytes:
    """A zip whose list of members is damaged."""
    cut = max(len(data) - 3000, 0)
    return data[:cut] + damaged(data[cut:], rng)


def restructured(data: bytes, canary: Path, rng: random.Random) -> bytes:
    """XML that is well-formed still: elements dropped, doubled, emptied, many, of other values or attributes."""
    root = ET.fromstring(data)
    for _ in range(rng.randint(1, 6)):
        parents = [e for e in root.iter() if len(e)]
        if not parents:
            break
        parent = rng.choice(parents)
        child = rng.choice(list(parent))
        word = rng.choice(WORDS).replace("$CANARY", str(canary))
        match rng.randrange(8):
            case 0:
                parent.remove(child)
            case 1:
                parent.insert(0, child)
            case 2 | 3:
                child.text = rng.choice([word, word, (child.text or "") * 2, (child.text or "")[:-1]])
            case 4:
                for key in child.attrib:
                    child.set(key, word)
            case 5:
                child.attrib.clear()
            case 6:
                leaf = next((e for e in child.iter() if not len(e)), child)  # none that holds its parent
                parent.extend([leaf] * rng.choice([2, 10, 1000]))
            case 7:
                leaves = [e for e in root.iter() if not len(e)]
                for leaf in rng.sample(leaves, min(3, len(leaves))):
                    leaf.text = rng.choice(WORDS).replace("$CANARY", str(canary))
    return ET.tostring(root)


def _bomb_xml(data: bytes, canary: Path, rng: random.Random) -> tuple[bytes, str]:
    entity = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary}/secret.xml">]><a>&x;</a>'
    return rng.choice(
        [
            (b"<a>" * 200_000, "XML, deep"),
            (b"<a>" * 150_000 + b"</a>" * 150_000, "XML, deep and closed"),
            (b"<a " + b" ".join(b'b%d=""' % n for n in range(400_000)) + b"/>", "XML, many attributes"),
            (b"<a>" + b"<b/>" * 1_500_000 + b"</a>", "XML, many elements"),
            (entity.encode(), "XML, an entity of a file"),
            (b'<?xml version="1.0" encoding="punycode"?><a>' + b"a" * 3_000_000 + b"-</a>", "XML, an odd encoding"),
        ]
    )


def altered_tiff(data: bytes, canary: Path, rng: random.Random) -> tuple[bytes, str]:
    """A TIFF some of whose tags say what they should not."""
    found = bytearray(data)
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    try:
        at = struct.unpack_from(order + ("Q" if is_big else "I"), found, 8 if is_big else 4)[0]
        count = struct.unpack_from(order + ("Q" if is_big else "H"), found, at)[0]
        begin, size, value = (at + 8, 20, 12) if is_big else (at + 2, 12, 8)
        said = []
        for _ in range(rng.randint(1, 4)):
            entry = begin + size * rng.randrange(min(count, 60))
            tag = struct.unpack_from(order + "H", found, entry)[0]
            match rng.randrange(5):
                case 0:
                    struct.pack_into(order + "I", found, entry + 4, rng.choice(NUMBERS))
                case 1:
                    struct.pack_into(order + "H", found, entry + 2, rng.randrange(20))
                case 2:
                    struct.pack_into(
                        order + "H",
                        found,
                        entry,
                        rng.choice([256, 257, 258, 259, 277, 278, 322, 323, 324, 325, 339, 42112]),
                    )
                case _:
                    number = rng.choice([*NUMBERS, 2**14, 2**15, 2**20, 2**24, 60_000])
                    struct.pack_into(order + "I", found, entry + value, number)
            said.append(str(tag))
    except struct.error:
        return damaged(data, rng), "bytes"
    return bytes(found), f"TIFF tags {' '.join(said)}"


def altered_jp2(data: bytes, canary: Path, rng: random.Random) -> tuple[bytes, str]:
    """A JPEG 2000 whose header promises what it should not, or with a box that names another file."""
    found = bytearray(data)
    at = data.find(b"\xff\x4f\xff\x51")
    if at < 0:
        return damaged(data, rng), "bytes"
    if rng.random() < 0.1:
        box = data.find(b"jp2c") - 4
        text = (
            f'<GDALMultiDomainMetadata><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{canary}/secret.vrt</MDI></Metadata>'
            "</GDALMultiDomainMetadata>"
        ).encode()
        if box > 0:
            found[box:box] = struct.pack(">I", 8 + len(text)) + b"xml " + text
            return bytes(found), "JPEG 2000, overviews in another file"
    cod = data.find(b"\xff\x52", at)
    sot = data.find(b"\xff\x90\x00\x0a", at)
    said = []
    for _ in range(rng.randint(1, 4)):
        match rng.randrange(5):
            case 0:
                where = at + 8 + 4 * rng.randrange(8)  # sizes and offsets of image and tiles
                struct.pack_into(">I", found, where, rng.choice([*NUMBERS, 4, 16, 2**12, 2**14, 2**16, 2**20, 2**24]))
                said.append("SIZ")
            case 1:
                struct.pack_into(">H", found, at + 40, rng.choice([0, 1, 3, 300, 16384, 65535]))
                said.append("components")
            case 2 if cod > 0:
                where = cod + rng.choice([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14])
                found[where] = rng.choice([0, 1, 2, 3, 4, 5, 8, 10, 32, 33, 255])
                said.append("COD")
            case 3 if sot > 0:
                where = sot + rng.choice([4, 5, 6, 7, 8, 9, 10, 11])
                found[where] = rng.choice([0, 1, 2, 14, 127, 255])
                said.append("SOT")
            case _:
                found = bytearray(damaged(bytes(found), rng, rng.choice([at + 200, len(found)])))
                said.append("bytes")
                at, cod, sot = (max(found.find(m), 0) for m in (b"\xff\x4f\xff\x51", b"\xff\x52", b"\xff\x90\x00\x0a"))
                if len(found) < at + 60:
                    break
    return bytes(found), f"JPEG 2000: {' '.join(said)}"


def _hostile_hdf5(file: h5py.File, canary: Path, rng: random.Random) -> str:
    """What HDF5 can hold that reads other files, or more memory than there is."""
    nodes = [n for n in file if isinstance(file.get(n), h5py.Dataset)]
    name = rng.choice([*nodes, "LAI"])
    shape, attrs = (rng.choice([(300, 600), (3600, 7200)])), {}
    if name in file:
        shape, attrs = file[name].shape, dict(file[name].attrs)
        del file[name]
    shape = shape or (4,)
    way = rng.randrange(9)
    match way:
        case 0:
            size = int(np.prod(shape))
            file.create_dataset(name, shape, "u1", external=[(str(canary / "secret.bin"), 0, max(size, 1))])
            said = "external storage"
        case 1:
            file[name] = h5py.ExternalLink(str(canary / "secret.h5"), "secret")
            said = "an external link"
        case 2:
            layout = h5py.VirtualLayout(shape, "u1")
            layout[...] = h5py.VirtualSource(str(canary / "secret.h5"), "secret", shape)
            file.create_virtual_dataset(name, layout)
            said = "a virtual dataset"
        case 3:
            file[name] = h5py.SoftLink("/" if rng.random() < 0.5 else f"/{name}")
            said = "a soft link to itself"
        case 4:
            file.create_dataset(name, (2**15, 2**15), "u1", chunks=(2**15, 2**15), compression="gzip", fillvalue=3)
            file[name].id.write_direct_chunk((0, 0), __import__("zlib").compress(bytes(2**28), 9))
            said = "a chunk that is a bomb"
        case 5:
            file.create_dataset(name, (2**31, 2**31), "u1", chunks=(16, 16))
            said = "a shape of 2^62"
        case 6:
            file.create_dataset(name, (2**29,), "f8", chunks=(2**20,))
            file[name].make_scale(name)
            said = "a coordinate of 4 GiB that is nothing but fill"
        case 7:
            group = file.create_group(f"{name}_group")
            group["again"] = file["/"]
            file.create_dataset(name, shape, "u1")
            said = "a group that holds the root"
        case _:
            file.create_dataset(name, shape, "u1", chunks=tuple(min(s, 64) for s in shape), compression="gzip")
            where = (0,) * len(shape)
            file[name].id.write_direct_chunk(where, __import__("zlib").compress(bytes(2**30), 9)[: 2**20])
            said = "a small chunk that inflates to a gigabyte"
    node = file.get(name, getlink=True)
    if isinstance(node, h5py.HardLink):
        for key, value in attrs.items():
            if key not in ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME"):
                file[name].attrs[key] = value
    return f"{name}: {said}"


def write_zarr(path: Path, form: int, shards: bool, rng: random.Random) -> None:
    """A small store with two bands, a group, and coordinates."""
    box = GeoBox.from_bbox((300_000, 4_799_000, 300_900, 4_800_000), "EPSG:32631", resolution=10)
    pixels = np.random.default_rng(1).integers(1, 9000, box.shape).astype("uint16")
    bands = {
        n: xr.DataArray(pixels, dims=("y", "x"), attrs={"grid_mapping": "spatial_ref", "scale_factor": 1e-4})
        for n in ("b02", "b03")
    }
    data = xr.Dataset(bands, coords={**xr_coords(box, dims=("y", "x")), "time": np.datetime64("2021-06-05", "ns")})
    data["name"] = ("band", np.array(["b02", "b03"], dtype=object if form == 2 else "U3"))
    encoding: dict[str, Any] = {n: {"chunks": (32, 40)} for n in bands}
    if shards:
        encoding = {n: {"chunks": (32, 40), "shards": (64, 80)} for n in bands}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == 2:
            from numcodecs import GZip, Zlib, Zstd

            for name in bands:
                encoding[name]["compressors"] = rng.choice([GZip(1), Zlib(1), Zstd(1)])
        data.to_zarr(path, zarr_format=form, consolidated=rng.random() < 0.5, encoding=encoding)  # type: ignore[call-overload]
        data[["b02"]].to_zarr(
            path,
            group="measurements/r20m",
            mode="a",
            zarr_format=form,
            consolidated=False,
            encoding={"b02": encoding["b02"]},
        )  # type: ignore[call-overload]


def _altered_json(document: Any, canary: Path, rng: random.Random) -> str:
    """Change one value of a document, anywhere in it."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, (dict, list)):
                walk(value)

    walk(document)
    if not places:
        document["shape"] = [2**40]
        return "a shape"
    node, key = rng.choice(places)
    deep: Any = 0
    for _ in range(500):
        deep = [deep]
    hostile: list[Any] = [
        None, -1, 0, 1, 2**31, 2**63, 1e400, "", "x", [], {}, True, [1], [2**40, 2**40], [1, 1], [2**16, 2**16], [2**20, 2**20], "|O", "<U99999999", deep,
        {"id": "pickle"}, [{"id": "pickle"}], {"id": "msgpack2"}, {"id": "blosc"}, {"id": "imagecodecs_tiff"}, [{"id": "vlen-utf8"}],
        [{"name": "numcodecs.pickle", "configuration": {}}], f"../../{canary.name}/secret.zarr", str(canary), [{"name": "storage", "configuration": {}}],
    ]  # fmt: skip
    if isinstance(node, dict) and rng.random() < 0.15:
        node[rng.choice([f"../../{canary.name}/secret.zarr", "/etc", "..", "a/../../b", "\0"])] = node.pop(key)
        return f"{key} has another name"
    value = rng.choice(hostile)
    node[key] = value
    return f"{key} is {str(value)[:40]}"


def _strange_member(new: zipfile.ZipFile, infos: list[zipfile.ZipInfo], rng: random.Random) -> str:
    name = rng.choice(
        [
            "../../canary/secret.xml",
            "/etc/passwd",
            "a\\..\\..\\b",
            "C:\\x",
            "x" * 5000 + ".xml",
            "é/\0.xml",
            infos[0].filename,
        ]
    )
    info = zipfile.ZipInfo(name)
    if rng.random() < 0.3:
        info.external_attr = 0o120777 << 16
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        new.writestr(info, b"<a/>")
    return f"a member {name[:40]!r}"


Alter = Callable[[str, bytes, random.Random], tuple[bytes, str]]
