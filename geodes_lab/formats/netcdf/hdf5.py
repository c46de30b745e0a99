"""HDF5 of unknown origin, held against what products have.

No part of it in other files, chunks that hold what they say.

HDF5 may keep numbers in files that it names (external storage), link to others, or be made of others (virtual
datasets): whoever opens such a file would read their own files into it, and pass them on with the results.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import h5py
import numpy as np

from geodes_lab.errors import GeodesError
from geodes_lab.util import compressed_size, limits

_DEFLATE, _SHUFFLE, _FLETCHER32, _SZIP = 1, 2, 3, 4
_RATIO = 1100  # Deflate makes a byte of no more than 1032
_NODES = 2**16  # links of a file; Sentinel-3 has some hundred
_WORDS, _FEW = 2**20, 64  # words of any length in an array; in an attribute of a file that is not small
_ITEM = 2**16  # bytes of a number, or of a word of fixed length


def check_links(file: h5py.File, name: str) -> None:
    """Refuse a file of which a part is in another; none of its links is followed to find out.

    Raises
    ------
    GeodesError
        If it has such a link, or more of them than any product.
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
        raise GeodesError(
            f"{name} has {wrong[0][:80]} in another file, which it names: refused; fetch the product again."
        )
    limits.refuse(name, count, _NODES, "links")


def check(dataset: h5py.Dataset, name: str) -> None:
    """Refuse an array that is in other files, or larger than any product's; nothing of it is read.

    Parameters
    ----------
    dataset
        The array.
    name
        What sentences call it.

    Raises
    ------
    GeodesError
        If it is so.
    """
    said = dataset.id.get_create_plist()
    if said.get_layout() == h5py.h5d.VIRTUAL or said.get_external_count():
        raise GeodesError(f"{name} is in other files, which it names: refused; fetch the product again.")
    size = dataset.dtype.itemsize
    limits.refuse(f"A number of {name}", size, _ITEM)
    count = math.prod(dataset.shape or ())
    limits.refuse(name, count * size, limits.ARRAY)
    if _is_of_words(dataset.dtype):
        limits.refuse(name, count, _WORDS, "words")
    check_attributes(dataset, name)
    if said.get_layout() != h5py.h5d.CHUNKED:
        return
    chunk = said.get_chunk()
    limits.refuse(f"A chunk of {name}", math.prod(chunk) * size, limits.TILE)
    filters = _filters(said)
    if any(f not in (_DEFLATE, _SHUFFLE, _FLETCHER32, _SZIP) for f in filters) or len(set(filters)) < len(filters):
        raise GeodesError(
            f"{name} is stored by a filter of HDF5 ({max(filters)}) that products do not use: refused; save it anew "
            "with gzip."
        )


def check_attributes(node: h5py.Dataset | h5py.Group, name: str) -> None:
    """Refuse lists of words among the attributes that could all be one and the same long word; nothing of them is read.

    Raises
    ------
    GeodesError
        If there is one.
    """
    size = node.file.id.get_filesize()
    for number in range(h5py.h5a.get_num_attrs(node.id)):
        attribute = h5py.h5a.open(node.id, index=number)
        count = math.prod(attribute.shape or ())
        if count > _FEW and _is_of_words(attribute.dtype):
            limits.refuse(f"An attribute of {name}", count * size, limits.TILE)


def words(dataset: h5py.Dataset, read: Callable[[Any], Any], selection: tuple[Any, ...], name: str) -> Any:
    """Read words of any length: one by one where together they might take more than there is room for.

    Each may lead to one and the same long word of the file.

    Parameters
    ----------
    dataset
        The array.
    read
        Reads a selection of it.
    selection
        A number, a slice or an array of numbers for each dimension.
    name
        What sentences call it.

    Raises
    ------
    GeodesError
        If they take more.
    """
    ranges = [np.arange(n)[s] for s, n in zip(selection, dataset.shape, strict=True)]
    if math.prod(r.size for r in ranges) * dataset.file.id.get_filesize() <= limits.TILE:
        return read(selection)
    found = np.empty([r.size for r in ranges], object)
    total = 0
    for at in np.ndindex(found.shape):
        word = read(tuple(int(np.ravel(r)[n]) for r, n in zip(ranges, at, strict=True)))
        total += len(word)
        limits.refuse(name, total, limits.TILE)
        found[at] = word
    return found.reshape([r.size for r in ranges if r.ndim])


def is_of_words(dataset: h5py.Dataset) -> bool:
    """Whether an array holds words, or lists, of any length."""
    return _is_of_words(dataset.dtype)


def _is_of_words(kind: np.dtype[Any]) -> bool:
    string = h5py.check_string_dtype(kind)
    return h5py.check_vlen_dtype(kind) is not None or (string is not None and string.length is None)


def check_chunks(dataset: h5py.Dataset, selection: Sequence[Any], name: str) -> None:
    """Refuse chunks that hold more than a chunk: those that a selection needs.

    Parameters
    ----------
    dataset
        The array; `check` has been called.
    selection
        A number, a slice or an array of numbers for each dimension.
    name
        What sentences call it.

    Raises
    ------
    GeodesError
        If one does.
    """
    said = dataset.id.get_create_plist()
    if said.get_layout() != h5py.h5d.CHUNKED:
        return
    filters, chunk = _filters(said), said.get_chunk()
    packed = next((f for f in filters if f in (_DEFLATE, _SZIP)), None)
    # Few bytes cannot become many.
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
            f"A chunk of {name} holds more than the {most} bytes of a chunk: refused; fetch the product again."
        )


def _filters(said: Any) -> list[int]:
    return [said.get_filter(n)[0] for n in range(said.get_nfilters())]


def _touched(wanted: Any, size: int, chunk: int) -> range:
    """The numbers of the chunks along a dimension that a selection touches, or lie between these."""
    if isinstance(wanted, slice):
        found = range(size)[wanted]
        low, high = (min(found[0], found[-1]), max(found[0], found[-1])) if found else (0, -1)
    else:
        numbers = np.atleast_1d(np.asarray(wanted))
        low, high = (int(numbers.min()), int(numbers.max())) if numbers.size else (0, -1)
    return range(low // chunk, high // chunk + 1) if high >= low else range(0)
