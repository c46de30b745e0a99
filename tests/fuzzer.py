"""Coverage-guided fuzzing of what reads bytes of others, by atheris; `make fuzz` installs it where it can and runs each target.

    python tests/fuzzer.py xml|zip|jpeg2000|tiff FOLDER [-max_total_time=60 …]

FOLDER keeps what was found to reach new code, and begins with what the sample has. A crash, a hang of 30 s, 2 GiB of memory
or another error than the parser's own ends it, and names the input.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["geodes_lab", "zipfile", "tifffile"]):
    import geodes_lab as gl
    from geodes_lab.archive.archive import Archive
    from geodes_lab.errors import NotUnderstood
    from geodes_lab.formats import tile_cache
    from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
    from geodes_lab.formats.jpeg2000.tile_index import Index
    from geodes_lab.formats.tiff import image as tiff_image
    from geodes_lab.storage.location import locate
    from geodes_lab.util import xml as util_xml

HERE = Path(tempfile.mkdtemp())


def xml(data: bytes) -> None:
    """Any bytes as a document."""
    with contextlib.suppress(ValueError):
        list(util_xml.parsed(data).iter())


def packed(data: bytes) -> None:
    """Any bytes as a zip: its list, and each member in each way."""
    path = HERE / "a.zip"
    path.write_bytes(data)
    try:
        archive = Archive(str(path))
        for name in archive.names:
            for use in (archive.read, archive.member, archive.range):
                with contextlib.suppress(gl.GeodesError):
                    use(name)
    except gl.GeodesError:
        pass


def code_stream(data: bytes) -> None:
    """Any bytes as JPEG 2000: a corner of the image and of an overview."""
    path = HERE / "a.jp2"
    path.write_bytes(data)
    tile_cache.forget()
    try:
        image = jpeg2000_image.Jpeg2000(Index(locate(path)))
        for level in {0, len(image.shapes) - 1}:
            rows, cols = image.shapes[level]
            image.read(level, (0, min(rows, 8)), (0, min(cols, 8)))
    except (NotUnderstood, OSError, gl.GeodesError):
        pass


def tif(data: bytes) -> None:
    """Any bytes as a TIFF: a corner of the image and of an overview."""
    path = HERE / "a.tif"
    path.write_bytes(data)
    tile_cache.forget()
    try:
        image = tiff_image.GeoTiff(locate(path))
        for level in {0, len(image.shapes) - 1}:
            rows, cols = image.shapes[level]
            image.read(level, (0, min(rows, 8)), (0, min(cols, 8)))
    except (NotUnderstood, OSError, gl.GeodesError):
        pass


TARGETS: dict[str, tuple[Callable[[bytes], None], str]] = {
    "xml": (xml, ".xml"),
    "zip": (packed, ".zip"),
    "jpeg2000": (code_stream, ".jp2"),
    "tiff": (tif, ".tif"),
}


def begin(ending: str) -> Iterator[bytes]:
    """What a target begins with: small files of the sample."""
    for path in sorted(Path("build").glob("sample-*/datalake/**/*.zip")):
        if ending == ".zip" and path.stat().st_size < 2**17:
            yield path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            small = [i for i in archive.infolist() if i.filename.endswith(ending) and i.file_size < 2**17]
            yield from map(archive.read, small[:2])


def main() -> None:
    """Run one target."""
    target, ending = TARGETS[sys.argv[1]]
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(begin(ending)):
        if number < 40:
            (folder / f"sample-{number}{ending}").write_bytes(data)
    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], "-timeout=30", "-rss_limit_mb=2048", *sys.argv[3:], str(folder)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
