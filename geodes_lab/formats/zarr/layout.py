"""The documents of a Zarr store, held against what products have, before zarr-python acts on them.

Codecs, chunks, names.

Some codecs of numcodecs are programs (pickle), others are the formats of whole files; a chunk of one byte may stand for
a terabyte.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.util import compressed_size, limits

DOCUMENTS = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
"""The names of the documents of a store."""
LARGEST = 2**24
"""Bytes of a document; those of ESA's products, of a whole store, are some 3 MB."""
_NODES, _DEPTH, _DIMS = 2**16, 64, 16  # arrays and groups of a document; groups in each other; dimensions
_SIDE_CHUNKS = 2**20  # chunks along a dimension
_ALL_CHUNKS = 2**26  # of an array: a graph of more is never built
_CODED_AS = re.compile(r"[<>|=]?[biuf][1248]|bool|u?int(8|16|32|64)|float(16|32|64)")
_WORDS = 2**20  # words of a chunk of words
# What leaves the size as it is, or makes it a little less; what changes the kind of numbers, and with it the size.
_PLAIN = {"shuffle", "delta", "bitround", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}
_KINDS = {"astype", "fixedscaleoffset", "quantize"}
_WORDED = {"vlen-utf8", "vlen-bytes"}
_NUMBER = re.compile(r"[<>|]?([biufcmMSUV])(\d{1,9})(?:\[\d*\w+\])?")
_NAMED = re.compile(r"(?:u?int|float|complex|r)(\d{1,3})")


@dataclass(frozen=True)
class Layout:
    """How an array is stored."""

    name: str
    """What sentences call it."""
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    """Of the chunks that are decoded: those inside shards."""
    shards: tuple[int, ...] | None
    is_index_last: bool
    itemsize: int
    compressor: str | None
    sum_behind: bool
    """Whether four bytes of a sum follow what is compressed."""
    words: bool
    """Whether it holds words of any length."""
    stretch: int
    """How many times the numbers may be larger, as stored, than decoded."""
    own_coordinate: bool = False
    """Whether it is the coordinate of a dimension, and read whole when the store is opened."""

    @property
    def largest(self) -> int:
        """Bytes that a decompressed chunk may have."""
        whole = math.prod(self.chunks) * self.itemsize
        return limits.TILE // 4 if self.words else min(whole * self.stretch, limits.TILE) + 2**16

    @property
    def object_bytes(self) -> int:
        """Bytes that an object of it may have: a chunk, or a shard."""
        return 4 * limits.TILE if self.shards else self.largest + 2**16

    def check(self, key: str, data: bytes, is_part: bool) -> None:
        """Refuse bytes that were read if they hold more than a chunk does; ``is_part``: they are not the whole object.

        Raises
        ------
        GeodesError
            If they do.
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
                    f"Chunk {key} of {self.name} holds {size} bytes or more, and a chunk of it has {self.largest} at "
                    f"most: refused; fetch "
                    "the product again."
                )
        if self.words:
            self._check_words(key, data)

    def _check_words(self, key: str, data: bytes) -> None:
        """The number of words is at the beginning; as many places for them would be made."""
        import numcodecs  # type: ignore[import-untyped]

        plain = data if self.compressor is None else bytes(numcodecs.get_codec({"id": self.compressor}).decode(data))
        if int.from_bytes(plain[:4], "little") > math.prod(self.chunks):
            raise GeodesError(
                f"Chunk {key} of {self.name} claims more words than a chunk of it has: refused; fetch it again."
            )

    def _inside(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where the chunks of a shard are in it."""
        assert self.shards is not None
        count = math.prod(s // c for s, c in zip(self.shards, self.chunks, strict=True))
        index = data[-16 * count - 4 :] if self.is_index_last else data[: 16 * count]
        for n in range(count):
            start, length = (int.from_bytes(index[at : at + 8], "little") for at in (16 * n, 16 * n + 8))
            if start != 2**64 - 1:
                yield start, length


def clean(key: str) -> bool:
    """Whether a key leads to nothing outside of the store, or of the array, that it is of."""
    parts = key.split("/")
    return len(parts) <= _DEPTH and not any(p in ("", ".", "..") or "\0" in p or "\\" in p for p in parts)


def read(store: str, key: str, data: bytes) -> dict[str, Layout]:
    """Read a document of a store.

    Parameters
    ----------
    store
        What sentences call the store.
    key
        Of the document.
    data
        It.

    Returns
    -------
    dict
        The arrays that it tells of, by path.

    Raises
    ------
    GeodesError
        If it is damaged, or says what no product does.
    """
    folder, _, name = key.rpartition("/")
    where = f"{key} of {store}"
    limits.refuse(where, len(data), LARGEST)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        said = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _damaged(store, key, said) from None
    if not isinstance(document, dict):
        raise _damaged(store, key, "it is no object of JSON")
    found: dict[str, Layout] = {}
    try:
        for path, node, attrs in _nodes(folder, name, document):
            if len(found) > _NODES or not clean(path or "root"):
                raise GeodesError(
                    f"{where} has the name {path[:80]!r}, or more than {_NODES} arrays: refused; check where it comes "
                    f"from."
                )
            if node is not None:
                found[path] = _layout(f"{path or 'the array'} of {store}", path.rpartition("/")[2], node, attrs)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        said = str(error).partition("\n")[0] or type(error).__name__
        raise _damaged(store, key, said) from None
    return found


def _damaged(store: str, key: str, said: str) -> GeodesError:
    return GeodesError(f"The metadata of {store} are damaged ({key}: {said}); fetch the store again.")


_Node = tuple[str, "dict[str, Any] | None", Mapping[str, Any]]


def _nodes(folder: str, name: str, document: dict[str, Any], depth: int = 0) -> Iterator[_Node]:
    """The arrays and groups of a document: path, what it says (of a group nothing), attributes."""
    if depth > _DEPTH:
        raise ValueError("documents in each other too deeply")
    if name == ".zmetadata":
        members = document["metadata"]
        for key, node in members.items():
            path, _, kind = key.rpartition("/")
            if kind not in DOCUMENTS:
                raise ValueError(f"an unknown document {key[:80]!r}")
            attrs = members.get(f"{path}/.zattrs".lstrip("/"), {})
            yield f"{folder}/{path}".strip("/") if folder else path, node if kind == ".zarray" else None, attrs
    elif name == ".zarray":
        yield folder, document, {}
    elif name == "zarr.json":
        is_array = document["node_type"] == "array"
        if document["zarr_format"] != 3 or document["node_type"] not in ("array", "group"):
            raise ValueError("neither an array nor a group of Zarr 3")
        yield folder, document if is_array else None, {}
        inside = document.get("consolidated_metadata") or {}
        for path, node in inside.get("metadata", {}).items():
            if node.get("node_type") not in ("array", "group"):
                raise ValueError(f"{path[:80]!r} is neither an array nor a group")
            yield from _nodes(f"{folder}/{path}" if folder else path, "zarr.json", node, depth + 1)


def _layout(name: str, last: str, node: dict[str, Any], attrs: Mapping[str, Any]) -> Layout:
    shape = _sizes(node["shape"], 0)
    if node.get("storage_transformers"):
        raise ValueError("storage transformers, which are not read")
    if node.get("zarr_format") == 3:
        grid, dims = node["chunk_grid"], node.get("dimension_names") or ()
        if grid["name"] != "regular":
            raise ValueError(f"chunks in a grid {str(grid['name'])[:40]!r}, which is not read")
        chunks, itemsize, codecs = (
            _sizes(grid["configuration"]["chunk_shape"], 1),
            _size(node["data_type"]),
            node["codecs"],
        )
        if len(chunks) != len(shape):
            raise ValueError("chunks of other dimensions than the array")
        found = _stored(codecs, chunks)
    else:
        chunks, itemsize, dims = _sizes(node["chunks"], 1), _size(node["dtype"]), attrs.get("_ARRAY_DIMENSIONS") or ()
        separator = node.get("dimension_separator", ".")
        if len(chunks) != len(shape) or separator not in (".", "/"):
            raise ValueError("chunks of other dimensions than the array, or an unknown separator")
        found = {
            "chunks": chunks,
            "shards": None,
            "is_index_last": True,
            **_old(node.get("filters") or [], node.get("compressor")),
        }
    words = bool(found["words"])
    if (itemsize == 0) != words:
        raise ValueError("objects that are no words: they may be programs")
    made = Layout(
        name=name, shape=shape, itemsize=itemsize, own_coordinate=len(shape) == 1 and list(dims) == [last], **found
    )
    _check_sizes(made)
    return made


def _check_sizes(made: Layout) -> None:
    limits.refuse(f"A chunk of {made.name}", math.prod(made.chunks) * max(made.itemsize, 1), limits.TILE)
    if made.words:
        limits.refuse(f"A chunk of {made.name}", math.prod(made.chunks), _WORDS, "words")
    limits.refuse(made.name, math.prod(made.shape) * max(made.itemsize, 8), limits.ARRAY)
    counts = [-(-size // chunk) for size, chunk in zip(made.shape, made.shards or made.chunks, strict=True)]
    limits.refuse(made.name, math.prod(counts), _ALL_CHUNKS, "chunks")
    for size, chunk in zip(made.shape, made.shards or made.chunks, strict=True):
        limits.refuse(made.name, -(-size // chunk), _SIDE_CHUNKS, "chunks along a dimension")
    if made.shards:
        if any(s % c for s, c in zip(made.shards, made.chunks, strict=True)):
            raise ValueError("shards that are no whole chunks")
        count = math.prod(s // c for s, c in zip(made.shards, made.chunks, strict=True))
        limits.refuse(f"A shard of {made.name}", count, limits.PIECES, "chunks")
    if made.own_coordinate:
        check_coordinate(made)


def check_coordinate(layout: Layout) -> None:
    """Refuse an array that is too large to be read whole when its store is opened.

    Raises
    ------
    GeodesError
        If it is.
    """
    limits.refuse(f"The coordinate {layout.name}", math.prod(layout.shape) * max(layout.itemsize, 8), limits.COORDINATE)
    count = math.prod(-(-s // c) for s, c in zip(layout.shape, layout.chunks, strict=True))
    limits.refuse(f"The coordinate {layout.name}", count, limits.PIECES, "chunks")


def is_coordinate(name: str, attributes: bytes) -> bool:
    """Whether the attributes of an array of format 2 say that it is the coordinate of a dimension."""
    dims = json.loads(attributes).get("_ARRAY_DIMENSIONS")
    return isinstance(dims, list) and dims == [name]


def _sizes(given: Any, least: int) -> tuple[int, ...]:
    if not isinstance(given, list) or len(given) > _DIMS or not all(type(n) is int and n >= least for n in given):
        raise ValueError(f"sizes that are none: {str(given)[:60]}")
    return tuple(given)


def _size(kind: Any) -> int:
    """Bytes of a number; 0: words of any length."""
    if isinstance(kind, dict):
        said = kind.get("configuration") or {}
        lengths = [said[k] for k in ("length_bytes",) if k in said]
        if kind.get("name") in ("numpy.datetime64", "numpy.timedelta64"):
            return 8
        if len(lengths) == 1 and type(lengths[0]) is int and 0 < lengths[0] <= limits.TILE:
            return int(lengths[0])
    elif isinstance(kind, str):
        if kind in ("bool", "int8", "uint8"):
            return 1
        if kind in ("string", "bytes", "variable_length_utf8", "variable_length_bytes", "|O"):
            return 0
        if found := _NAMED.fullmatch(kind):
            return max(int(found[1]) // 8, 1)
        if found := _NUMBER.fullmatch(kind):
            return max(int(found[2]) * (4 if found[1] == "U" else 1), 1)
    raise ValueError(f"a kind of number that is not read: {str(kind)[:60]}")


def _old(filters: Any, compressor: Any) -> dict[str, Any]:
    """What format 2 says of how numbers are stored."""
    names = [_name(f, "id") for f in filters] if isinstance(filters, list) else ["?"]
    way = None if compressor is None else _name(compressor, "id")
    return _understood(names, way, False)


def _stored(codecs: Any, chunks: tuple[int, ...]) -> dict[str, Any]:
    """What format 3 says of how numbers are stored."""
    if not isinstance(codecs, list) or not codecs:
        raise ValueError("no codecs")
    if _name(codecs[0], "name") == "sharding_indexed":
        said = codecs[0]["configuration"]
        index = [_name(c, "name") for c in said.get("index_codecs", [])]
        last = said.get("index_location", "end")
        if len(codecs) > 1 or index not in (["bytes"], ["bytes", "crc32c"]) or last not in ("start", "end"):
            raise ValueError("shards in a way that is not read")
        inner = _sizes(said["chunk_shape"], 1)
        if len(inner) != len(chunks) or any(_name(c, "name") == "sharding_indexed" for c in said["codecs"]):
            raise ValueError("shards in shards, or of other dimensions")
        # Behind the index are four bytes of a sum, or none.
        return {**_stored(said["codecs"], inner), "shards": chunks, "is_index_last": last == "end"}
    names = [_name(c, "name") for c in codecs]
    compressors = [n for n in names if n in compressed_size.WAYS]
    at = names.index(compressors[0]) if compressors else len(names)
    behind = names[at + 1 :]
    if len(compressors) > 1 or behind not in ([], ["crc32c"]):
        raise ValueError(f"codecs one upon the other: {', '.join(names)[:80]}")
    others = [n for n in names[:at] if n not in ("bytes", "transpose")]
    found = _understood(others, compressors[0] if compressors else None, bool(behind))
    return {"chunks": chunks, "shards": None, "is_index_last": True, **found}


def _understood(names: list[str], compressor: str | None, sum_behind: bool) -> dict[str, Any]:
    """Hold the codecs against those that are known to be none but codecs."""
    wrong = [n for n in names if n not in _PLAIN | _KINDS | _WORDED]
    if compressor is not None and compressor not in compressed_size.WAYS:
        wrong.append(compressor)
    if wrong:
        raise ValueError(f"the codec {wrong[0][:40]!r}, which is not one that products are stored by")
    stretch = 8 if _KINDS & set(names) else 1
    return {"compressor": compressor, "sum_behind": sum_behind, "words": bool(_WORDED & set(names)), "stretch": stretch}


def _name(codec: Any, field: str) -> str:
    for said in (codec, codec.get("configuration") or {}) if isinstance(codec, dict) else ():
        wrong = [
            v
            for k, v in said.items()
            if k.endswith("dtype") or k == "astype"
            if v is not None and not _CODED_AS.fullmatch(str(v))
        ]
        if wrong:
            raise ValueError(f"a codec that gives {str(wrong[0])[:40]!r}, which are no numbers")
    name = codec if isinstance(codec, str) else codec[field]
    if not isinstance(name, str):
        raise ValueError("a codec without a name")
    return name.removeprefix("numcodecs.")
