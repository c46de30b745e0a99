"""Files of shapes: GeoJSON, GeoPackage, Shapefile (its zip too), KML and KMZ.

What a file is, its first bytes say, and GDAL is given the one driver of that format by a name that it cannot take for
another: a file that is a recipe for GDAL to open other files or addresses is refused.
"""

from __future__ import annotations

import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely
from odc.geo.crs import CRS
from odc.geo.geom import Geometry

from geodes_lab import extras
from geodes_lab.errors import GeodesError
from geodes_lab.util import xml
from geodes_lab.vector.shapes import MOST_SHAPES, Shape, of_geojson

LARGEST = 2**28
"""Bytes of a file, and of what a zip of one holds."""
_SUFFIXES = {".shp", ".shx", ".dbf", ".prj", ".cpg"}
_WANTED = "Give GeoJSON, GeoPackage, Shapefile or a zip of one, KML or KMZ."
_NAMES = ("name", "nom", "id", "fid", "code")  # columns that name a shape, capitals aside


def read(argument: str, path: str) -> Iterator[Shape]:
    """Read all shapes of a file; `geodes_lab.vector.shapes.read` checks them.

    Parameters
    ----------
    argument
        The argument's name, for errors.
    path
        Of a file of this machine. ``fields.gpkg|layername=parcels`` names the layer of a GeoPackage, as QGIS does.

    Raises
    ------
    GeodesError
        If there is no such file, it is of another format, is damaged or too large, or says no CRS.
    """
    plain, _, layer = path.partition("|layername=")
    file = Path(plain).expanduser()
    try:
        state = file.stat()
        is_file = stat.S_ISREG(state.st_mode)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GeodesError(f"{argument}= names the file {plain}, which cannot be read ({reason}).") from None
    if not is_file:
        raise GeodesError(f"{argument}= names {plain}, which is not a file. {_WANTED}")
    if state.st_size > LARGEST:
        raise GeodesError(
            f"{argument}= names {plain}, which is larger than {LARGEST // 2**20} MiB: select a part of it."
        )
    try:
        with file.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise GeodesError(f"{argument}= names the file {plain}, which cannot be read ({error.strerror}).") from None
    yield from _of_format(argument, file, head, layer)


def _of_format(argument: str, file: Path, head: bytes, layer: str) -> Iterator[Shape]:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        yield from of_geojson(argument, file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    elif start.startswith(b"<"):
        yield from _of_kml(argument, file, file.read_bytes())
    elif head.startswith(b"SQLite format 3\0") and head[68:72] in (b"GPKG", b"GP10", b"GP11"):
        yield from _of_gpkg(argument, file, layer)
    elif head.startswith(b"\0\0\x27\x0a"):
        yield from _of_shapefile(argument, file)
    elif head.startswith(b"PK\x03\x04"):
        yield from _of_zip(argument, file)
    else:
        raise GeodesError(f"{argument}= names {file}, which is not a supported file of shapes. {_WANTED}")


def _of_kml(argument: str, file: Path, text: bytes) -> Iterator[Shape]:
    try:
        root = xml.parsed(text)
    except ValueError as error:
        raise GeodesError(f"{argument}= names {file}, which is not a KML file ({error}).") from None
    if root.tag.rpartition("}")[2] != "kml":
        raise GeodesError(f"{argument}= names {file}, an XML file that is not KML. {_WANTED}")
    yield from _opened(argument, file, text, "KML", crs="EPSG:4326")


def _of_gpkg(argument: str, file: Path, layer: str) -> Iterator[Shape]:
    _import_pyogrio()
    import pyogrio

    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind]
    except Exception as error:
        raise GeodesError(f"{argument}= names {file}, a GeoPackage that cannot be read ({error}).") from None
    if layer and layer not in layers:
        raise GeodesError(f"{argument}= names the layer {layer} of {file}; its layers are: {', '.join(layers)}.")
    if not layer and len(layers) != 1:
        raise GeodesError(
            f"{argument}= names {file}, which has {len(layers)} layers with shapes ({', '.join(layers[:9])}): name "
            f"one, as in '{file}|layername={layers[0] if layers else 'parcels'}'."
        )
    yield from _opened(argument, file, file, "GeoPackage", layer=layer or layers[0])


def _of_shapefile(argument: str, file: Path) -> Iterator[Shape]:
    beside = {p.suffix.lower() for p in file.parent.glob(f"{_literal(file.stem)}.*")}
    if missing := {".shx", ".dbf", ".prj"} - beside:
        raise GeodesError(
            f"{argument}= names {file}; a Shapefile also needs {', '.join(sorted(file.stem + s for s in missing))} in "
            "the same folder."
        )
    yield from _opened(argument, file, file, "Shapefile")


def _of_zip(argument: str, file: Path) -> Iterator[Shape]:
    """A zipped Shapefile, or a KMZ: its members are written beside each other under names of ours."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [i for i in archive.infolist() if "__MACOSX" not in i.filename]
            maps = [i for i in members if i.filename.lower().endswith(".kml")]
            images = [i for i in members if i.filename.lower().endswith(".shp")]
            if len(images) > 1 or not (maps or images):
                raise GeodesError(
                    f"{argument}= names {file}, a zip with {len(images)} Shapefiles and {len(maps)} KML files: give a "
                    "zip with one Shapefile, or a KMZ."
                )
            if not images:
                first = next((i for i in maps if i.filename.lower() == "doc.kml"), maps[0])
                yield from _of_kml(argument, file, _bytes(argument, file, archive, [first])[0])
                return
            stem = images[0].filename[:-4]
            parts = [i for i in members if i.filename[:-4] == stem and i.filename[-4:].lower() in _SUFFIXES]
            contents = _bytes(argument, file, archive, parts)
        with tempfile.TemporaryDirectory(prefix="geodes-lab-") as folder:
            for part, data in zip(parts, contents, strict=True):
                Path(folder, f"shapes{part.filename[-4:].lower()}").write_bytes(data)
            try:
                yield from list(_of_shapefile(argument, Path(folder, "shapes.shp")))
            except GeodesError as error:
                raise GeodesError(str(error).replace(str(Path(folder, "shapes.shp")), str(file))) from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise GeodesError(f"{argument}= names {file}, a zip that cannot be read ({error}).") from None


def _bytes(argument: str, file: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> list[bytes]:
    """Members' bytes, no more than their headers say and than may be."""
    if sum(i.file_size for i in members) > LARGEST:
        raise GeodesError(
            f"{argument}= names {file}, which contains more than {LARGEST // 2**20} MiB: select a part of it."
        )
    contents = []
    for member in members:
        with archive.open(member) as stream:
            contents.append(stream.read(member.file_size))
    return contents


def _opened(
    argument: str, file: Path, source: Any, kind: str, *, layer: str | None = None, crs: str = ""
) -> Iterator[Shape]:
    """Read by GDAL, of a file whose first bytes were looked at."""
    _import_pyogrio()
    import pyogrio.raw

    try:
        meta, ids, shapes, columns = pyogrio.raw.read(
            source, layer=layer, force_2d=True, return_fids=True, max_features=MOST_SHAPES + 1
        )
        geometries = shapely.from_wkb(shapes)
    except Exception as error:  # pyogrio and shapely each have their own
        raise GeodesError(
            f"{argument}= names {file}, a {kind} that cannot be read ({str(error)[:300].rstrip('.')})."
        ) from None
    name_of_crs = meta["crs"] or crs
    if not name_of_crs:
        raise GeodesError(f"{argument}= names {file}, which has no CRS: write it again with a CRS.")
    if len(geometries) > MOST_SHAPES:
        raise GeodesError(f"{argument}= names {file}, which has more than {MOST_SHAPES} shapes: select a part of it.")
    own = CRS(name_of_crs)
    fields = [str(f) for f in meta["fields"]]
    naming = next((f for n in _NAMES for f in fields if f.lower() == n), None)
    for number, geometry in enumerate(geometries):
        if geometry is None or geometry.is_empty:
            continue
        properties = {f: _value(column[number]) for f, column in zip(fields, columns, strict=True)}
        name = properties.get(naming) if naming else None
        yield Shape(str(ids[number] if name in (None, "") else name), Geometry(geometry, own), properties)


def _value(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _literal(name: str) -> str:
    """A name as a pattern of ``glob`` that means itself."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _import_pyogrio() -> None:
    """Import what reads these files; without it a sentence says what to install."""
    with extras.needed("Reading a GeoPackage, Shapefile or KML"):
        import pyogrio  # noqa: F401
