"""Members that are compressed in their zip: extracted once, whole, into the user's cache, and read there."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from pathlib import Path

from dask.utils import format_bytes

from geodes_lab.datalake import locate
from geodes_lab.errors import GeodesError
from geodes_lab.member import Member
from geodes_lab.replica import Fetched

_STEP = 2**23  # bytes of a request
_AHEAD = 4  # requests under way together


def member(packed: Member, info: zipfile.ZipInfo) -> Member:
    """Extract a member, unless that was done before.

    Parameters
    ----------
    packed
        Its compressed bytes.
    info
        What the zip says of it.

    Returns
    -------
    Member
        The file on disk. A `Fetched` warning says what was extracted, how large it is and where it is kept.

    Raises
    ------
    GeodesError
        If it is damaged, compressed in a way that is not read, or larger than it says.
    """
    name = f"{info.filename} in {packed.place.href}"
    if info.compress_type != zipfile.ZIP_DEFLATED:
        raise GeodesError(
            f"{name} is compressed in a way that is not read (method {info.compress_type}): pack it anew."
        )
    target = packed.place.kept("members", f"{info.filename}|{info.header_offset}|{info.CRC}")
    target = target.with_suffix(Path(info.filename).suffix)
    if not (target.exists() and target.stat().st_size == info.file_size):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        _inflate(packed, info, part, name)
        part.replace(target)
        warnings.warn(
            f"{name} is compressed, so it was extracted whole ({format_bytes(info.file_size)}); it is kept as {target}.",
            Fetched,
            stacklevel=4,
        )
    return Member(locate(target), 0, info.file_size)


def _inflate(packed: Member, info: zipfile.ZipInfo, path: Path, name: str) -> None:
    inflater, crc, size = zlib.decompressobj(-15), 0, 0
    starts = range(0, packed.size, _STEP)
    with path.open("wb") as file:
        for first in range(0, len(starts), _AHEAD):
            ranges = [(packed.start + s, min(_STEP, packed.size - s)) for s in starts[first : first + _AHEAD]]
            for coming in packed.place.fetch(ranges):
                try:
                    data = inflater.decompress(coming.result(), info.file_size + 1 - size)
                except zlib.error as error:
                    raise GeodesError(f"{name} is damaged ({error}); fetch the product again.") from None
                size, crc = size + len(data), zlib.crc32(data, crc)
                if size > info.file_size:
                    break
                file.write(data)
    if size != info.file_size or crc != info.CRC:
        raise GeodesError(f"{name} is damaged: it inflates to other bytes than its zip says; fetch the product again.")
