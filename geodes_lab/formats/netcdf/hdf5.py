"""Checks of HDF5 files of unknown origin against what products contain.

No part may be in another file, and chunks may not hold more than they declare.

HDF5 may keep numbers in files that it names (external storage), link to others, or be composed of others (virtual
datasets): opening such a file would read the user's own files into it, and pass them on with the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import h5py
import numpy as np

from geodes_lab.errors import GeodesError
from geodes_lab.formats import compressed_size
from geodes_lab.util import limits

_DEFLATE, _SHUFFLE, _FLETCHER32, _SZIP = 1, 2, 3, 4
_RATIO = 1100  # Deflate expands a byte to 1032 at most
_NODES = 2**16  # links of a file; Sentinel-3 has some hundred
_WORDS, _FEW = 2**20, 64  # strings of variable length in an array; in an attribute of a file that is not small
_ITEM = 2**16  # bytes of a number, or of a string of fixed length


def check_links(file: h5py.File, name: str) -> None:
    """Refuse a file with parts in another file; the check follows no link.

    Raises
    ------
    GeodesError
        If it has such a link, or more links than any product.
    """
    count = 0
    wrong: list[str] = []

    def look(link: bytes, about: Any) -> bool | None:
        nonlocal count
        count += 1
        if about.type not in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            wrong.append(link.decode(errors="replace"))
        return True if wrong or count > _NODES else None

    file.id.links.visit(look, info=True)
    if wrong:
        raise GeodesError(f"{name} links {wrong[0][:80]} to another file. It is refused; fetch the product again.")
    limits.refuse(name, count, _NODES, "links")


def check(dataset: h5py.Dataset, name: str) -> None:
    """Refuse an array in other files, or larger than any product's; its data are not read.

    Parameters
    ----------
    dataset
        The array.
    name
        Its name in error messages.

    Raises
    ------
    GeodesError
        If the array is refused.
    """
    creation = dataset.id.get_create_plist()
    if creation.get_layout() == h5py.h5d.VIRTUAL or creation.get_external_count():
        raise GeodesError(f"{name} has its data in other files. It is refused; fetch the product again.")
    size = dataset.dtype.itemsize
    limits.refuse(f"A number of {name}", size, _ITEM)
    count = math.prod(dataset.shape or ())
    limits.refuse(name, count * size, limits.ARRAY)
    if _is_of_words(dataset.dtype):
        limits.refuse(name, count, _WORDS, "words")
    check_attributes(dataset, name)
    if creation.get_layout() != h5py.h5d.CHUNKED:
        return
    chunk = creation.get_chunk()
    limits.refuse(f"A chunk of {name}", math.prod(chunk) * size, limits.TILE)
    filters = _filters(creation)
    if any(f not in (_DEFLATE, _SHUFFLE, _FLETCHER32, _SZIP) for f in filters) or len(set(filters)) < len(filters):
        raise GeodesError(
            f"{name} is stored with an HDF5 filter ({max(filters)}) that products do not use. It is refused: save it "
            "again with gzip."
        )


def check_attributes(node: h5py.Dataset | h5py.Group, name: str) -> None:
    """Refuse attributes with lists of strings that could all be one and the same long string; they are not read.

    Raises
    ------
    GeodesError
        If there is such an attribute.
    """
    size = node.file.id.get_filesize()
    for number in range(h5py.h5a.get_num_attrs(node.id)):
        attribute = h5py.h5a.open(node.id, index=number)
        count = math.prod(attribute.shape or ())
        if count > _FEW and _is_of_words(attribute.dtype):
            limits.refuse(f"An attribute of {name}", count * size, limits.TILE)


def words(dataset: h5py.Dataset, read: Callable[[Any], Any], selection: tuple[Any, ...], name: str) -> Any:
    """Read strings of variable length: one by one where together they could need too much memory.

    Each string may point to the same long string of the file.

    Parameters
    ----------
    dataset
        The array.
    read
        Reads a selection of the array.
    selection
        A number, a slice or an array of numbers for each dimension.
    name
        Its name in error messages.

    Raises
    ------
    GeodesError
        If they need too much memory.
    """
    ranges = [np.arange(n)[s] for s, n in zip(selection, dataset.shape, strict=True)]
    if math.prod(r.size for r in ranges) * dataset.file.id.get_filesize() <= limits.TILE:
        return read(selection)
    values = np.empty([r.size for r in ranges], object)
    total = 0
    for at in np.ndindex(values.shape):
        word = read(tuple(int(np.ravel(r)[n]) for r, n in zip(ranges, at, strict=True)))
        total += len(word)
        limits.refuse(name, total, limits.TILE)
        values[at] = word
    return values.reshape([r.size for r in ranges if r.ndim])


def is_of_words(dataset: h5py.Dataset) -> bool:
    """Whether an array holds strings, or lists, of variable length."""
    return _is_of_words(dataset.dtype)


def _is_of_words(kind: np.dtype[Any]) -> bool:
    string = h5py.check_string_dtype(kind)
    return h5py.check_vlen_dtype(kind) is not None or (string is not None and string.length is None)


def check_chunks(dataset: h5py.Dataset, selection: Sequence[Any], name: str) -> None:
    """Refuse chunks that hold more bytes than they declare, of those that a selection needs.

    Parameters
    ----------
    dataset
        The array; `check` has been called.
    selection
        A number, a slice or an array of numbers for each dimension.
    name
        Its name in error messages.

    Raises
    ------
    GeodesError
        If such a chunk exists.
    """
    creation = dataset.id.get_create_plist()
    if creation.get_layout() != h5py.h5d.CHUNKED:
        return
    filters, chunk = _filters(creation), creation.get_chunk()
    packed = next((f for f in filters if f in (_DEFLATE, _SZIP)), None)
    # A few bytes cannot become many.
    if packed is None or (packed == _DEFLATE and dataset.id.get_storage_size() * _RATIO <= limits.TILE):
        return
    most = math.prod(chunk) * dataset.dtype.itemsize + 2**12
    ranges = [_touched(s, n, c) for s, n, c in zip(selection, dataset.shape, chunk, strict=True)]
    limits.refuse(f"A part of {name}", math.prod(map(len, ranges)), 4 * limits.PIECES, "chunks")
    for place in product(*ranges):
        at = tuple(n * c for n, c in zip(place, chunk, strict=True))
        size = dataset.id.get_chunk_info_by_coord(at).size
        if not size or (packed == _DEFLATE and size * _RATIO <= limits.TILE):
            continue
        limits.refuse(f"A chunk of {name}", size, limits.TILE)
        skipped, data = dataset.id.read_direct_chunk(at)
        if skipped >> filters.index(packed) & 1:
            continue
        _check_chunk(packed, data, most, name)


def _check_chunk(packed: int, data: bytes, most: int, name: str) -> None:
    try:
        size = int.from_bytes(data[:4], "little") if packed == _SZIP else compressed_size.held("zlib", data, most)
    except ValueError as error:
        raise OSError(f"a chunk of {name} is damaged: {error}") from None
    if size > most:
        raise GeodesError(
            f"A chunk of {name} has more than the {most} bytes of a chunk. It is refused; fetch the product again."
        )


def _filters(creation: Any) -> list[int]:
    return [creation.get_filter(n)[0] for n in range(creation.get_nfilters())]


def _touched(wanted: Any, size: int, chunk: int) -> range:
    """Return the numbers of the chunks along a dimension that a selection touches, and of those between."""
    if isinstance(wanted, slice):
        indices = range(size)[wanted]
        low, high = (min(indices[0], indices[-1]), max(indices[0], indices[-1])) if indices else (0, -1)
    else:
        numbers = np.atleast_1d(np.asarray(wanted))
        low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, -1)
    return range(low // chunk, high // chunk + 1) if high >= low else range(0)
