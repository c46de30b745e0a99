"""How a Zarr array is stored: its chunks, its codecs, and the sizes that they may have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.formats import compressed_size
from geodes_lab.formats.zarr import codecs
from geodes_lab.util import limits

_SIDE_CHUNKS = 2**20  # chunks along a dimension
_ALL_CHUNKS = 2**26  # of an array: a larger graph is never built
_WORDS = 2**20  # strings in a chunk of strings


@dataclass(frozen=True)
class Layout:
    """How an array is stored."""

    name: str
    """Its name in error messages."""
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    """The shape of the chunks that are decoded: those inside of shards."""
    shards: tuple[int, ...] | None
    is_index_last: bool
    itemsize: int
    compressor: str | None
    sum_behind: bool
    """Whether a checksum of four bytes follows the compressed data."""
    words: bool
    """Whether it holds strings of variable length."""
    stretch: int
    """How many times larger the stored numbers may be than the decoded ones."""
    own_coordinate: bool = False
    """Whether it is the coordinate of a dimension, and read as a whole when the store is opened."""

    @property
    def largest(self) -> int:
        """Return the bytes that a decompressed chunk may have."""
        whole = math.prod(self.chunks) * self.itemsize
        return limits.TILE // 4 if self.words else min(whole * self.stretch, limits.TILE) + 2**16

    @property
    def object_bytes(self) -> int:
        """Return the bytes that an object may have: a chunk, or a shard."""
        return 4 * limits.TILE if self.shards else self.largest + 2**16

    def check(self, key: str, data: bytes, is_part: bool) -> None:
        """Refuse bytes that hold more than a chunk may; ``is_part``: they are not the whole object.

        Raises
        ------
        GeodesError
            If they hold more.
        OSError
            If they are damaged.
        """
        if self.shards and not is_part:
            for start, length in self._inside(data):
                self._check_chunk(key, data[start : start + length])
        else:
            self._check_chunk(key, data)

    def _check_chunk(self, key: str, data: bytes) -> None:
        data = data[:-4] if self.sum_behind else data
        if self.compressor is not None:
            try:
                size = compressed_size.held(self.compressor, data, self.largest)
            except ValueError as error:
                raise OSError(str(error)) from None
            if size > self.largest:
                raise GeodesError(
                    f"Chunk {key} of {self.name} has {size} bytes or more, and a chunk of this array has "
                    f"{self.largest} at most. It is refused; fetch the product again."
                )
        if self.words:
            self._check_words(key, data)

    def _check_words(self, key: str, data: bytes) -> None:
        """Check the number of strings, which is at the beginning: memory for all of them would be allocated."""
        import numcodecs  # type: ignore[import-untyped]

        plain = data if self.compressor is None else bytes(numcodecs.get_codec({"id": self.compressor}).decode(data))
        if int.from_bytes(plain[:4], "little") > math.prod(self.chunks):
            raise GeodesError(
                f"Chunk {key} of {self.name} claims more words than a chunk of this array can have. It is "
                "refused; fetch the product again."
            )

    def _inside(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield the ranges of the chunks in a shard."""
        assert self.shards is not None
        count = math.prod(s // c for s, c in zip(self.shards, self.chunks, strict=True))
        index = data[-16 * count - 4 :] if self.is_index_last else data[: 16 * count]
        for n in range(count):
            start, length = (int.from_bytes(index[at : at + 8], "little") for at in (16 * n, 16 * n + 8))
            if start != 2**64 - 1:
                yield start, length


def layout_of(name: str, last: str, node: dict[str, Any], attrs: Mapping[str, Any]) -> Layout:
    """Read how an array is stored.

    Parameters
    ----------
    name
        The array's name in error messages.
    last
        The last part of its path: the name of the dimension whose coordinate it may be.
    node
        The array's document.
    attrs
        Its attributes.

    Raises
    ------
    GeodesError
        If it is larger than any product's array.
    ValueError
        If it is stored in a way that is not supported; the text says which.
    """
    shape = codecs.sizes(node["shape"], 0)
    if node.get("storage_transformers"):
        raise ValueError("storage transformers, which are not supported")
    if node.get("zarr_format") == 3:
        grid, dims = node["chunk_grid"], node.get("dimension_names") or ()
        if grid["name"] != "regular":
            raise ValueError(f"chunks in a grid {str(grid['name'])[:40]!r}, which is not supported")
        chunks, itemsize, steps = (
            codecs.sizes(grid["configuration"]["chunk_shape"], 1),
            codecs.itemsize(node["data_type"]),
            node["codecs"],
        )
        if len(chunks) != len(shape):
            raise ValueError("chunks of other dimensions than the array")
        stored = codecs.stored(steps, chunks)
    else:
        chunks, itemsize, dims = (
            codecs.sizes(node["chunks"], 1),
            codecs.itemsize(node["dtype"]),
            attrs.get("_ARRAY_DIMENSIONS") or (),
        )
        separator = node.get("dimension_separator", ".")
        if len(chunks) != len(shape) or separator not in (".", "/"):
            raise ValueError("chunks of other dimensions than the array, or an unknown separator")
        stored = {
            "chunks": chunks,
            "shards": None,
            "is_index_last": True,
            **codecs.old(node.get("filters") or [], node.get("compressor")),
        }
    words = bool(stored["words"])
    if (itemsize == 0) != words:
        raise ValueError("objects that are not words: they may be programs")
    layout = Layout(
        name=name, shape=shape, itemsize=itemsize, own_coordinate=len(shape) == 1 and list(dims) == [last], **stored
    )
    _check_sizes(layout)
    return layout


def _check_sizes(layout: Layout) -> None:
    limits.refuse(f"A chunk of {layout.name}", math.prod(layout.chunks) * max(layout.itemsize, 1), limits.TILE)
    if layout.words:
        limits.refuse(f"A chunk of {layout.name}", math.prod(layout.chunks), _WORDS, "words")
    limits.refuse(layout.name, math.prod(layout.shape) * max(layout.itemsize, 8), limits.ARRAY)
    counts = [-(-size // chunk) for size, chunk in zip(layout.shape, layout.shards or layout.chunks, strict=True)]
    limits.refuse(layout.name, math.prod(counts), _ALL_CHUNKS, "chunks")
    for size, chunk in zip(layout.shape, layout.shards or layout.chunks, strict=True):
        limits.refuse(layout.name, -(-size // chunk), _SIDE_CHUNKS, "chunks along a dimension")
    if layout.shards:
        if any(s % c for s, c in zip(layout.shards, layout.chunks, strict=True)):
            raise ValueError("shards that do not consist of whole chunks")
        count = math.prod(s // c for s, c in zip(layout.shards, layout.chunks, strict=True))
        limits.refuse(f"A shard of {layout.name}", count, limits.PIECES, "chunks")
    if layout.own_coordinate:
        check_coordinate(layout)


def check_coordinate(layout: Layout) -> None:
    """Refuse an array that is too large to be read as a whole when its store is opened.

    Raises
    ------
    GeodesError
        If it is too large.
    """
    limits.refuse(f"The coordinate {layout.name}", math.prod(layout.shape) * max(layout.itemsize, 8), limits.COORDINATE)
    count = math.prod(-(-s // c) for s, c in zip(layout.shape, layout.chunks, strict=True))
    limits.refuse(f"The coordinate {layout.name}", count, limits.PIECES, "chunks")
