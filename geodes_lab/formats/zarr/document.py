"""The documents of a Zarr store, checked before zarr-python acts on them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.layout import Layout, layout_of
from geodes_lab.util import limits

NAMED = re.compile(r"\.zarr(?=/|$)", re.IGNORECASE)
"""What identifies a Zarr store in an address: the end of the store's name."""
DOCUMENTS = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
"""The names of the documents of a store."""
LARGEST = 2**24
"""Bytes of a document; a document of a whole store of ESA's has some 3 MB."""
_NODES, _DEPTH = 2**16, 64  # arrays and groups of a document; groups in each other


def clean(key: str) -> bool:
    """Whether a key stays inside of its store or array."""
    parts = key.split("/")
    return len(parts) <= _DEPTH and not any(p in ("", ".", "..") or "\0" in p or "\\" in p for p in parts)


def read(store: str, key: str, data: bytes) -> dict[str, Layout]:
    """Read a document of a store.

    Parameters
    ----------
    store
        The name of the store in error messages.
    key
        The key of the document.
    data
        It.

    Returns
    -------
    dict
        The arrays that it describes, by path.

    Raises
    ------
    GeodesError
        If it is damaged, or contains what no product has.
    """
    folder, _, name = key.rpartition("/")
    where = f"{key} of {store}"
    limits.refuse(where, len(data), LARGEST)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        problem = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _damaged(store, key, problem) from None
    if not isinstance(document, dict):
        raise _damaged(store, key, "it is not a JSON object")
    layouts: dict[str, Layout] = {}
    try:
        for path, node, attrs in _nodes(folder, name, document):
            if len(layouts) > _NODES or not clean(path or "root"):
                raise GeodesError(
                    f"{where} has an invalid name, {path[:80]!r}, or more than {_NODES} arrays. It is refused: check "
                    "where it comes from."
                )
            if node is not None:
                layouts[path] = layout_of(f"{path or 'the array'} of {store}", path.rpartition("/")[2], node, attrs)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise _damaged(store, key, problem) from None
    return layouts


def _damaged(store: str, key: str, problem: str) -> GeodesError:
    return GeodesError(f"The metadata of {store} are damaged ({key}: {problem}); fetch the store again.")


_Node = tuple[str, "dict[str, Any] | None", Mapping[str, Any]]


def _nodes(folder: str, name: str, document: dict[str, Any], depth: int = 0) -> Iterator[_Node]:
    """Yield the arrays and groups of a document: path, metadata (None for a group), attributes."""
    if depth > _DEPTH:
        raise ValueError("documents that are nested too deeply")
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


def is_coordinate(name: str, attributes: bytes) -> bool:
    """Whether the attributes of an array of format 2 declare it as the coordinate of a dimension."""
    dims = json.loads(attributes).get("_ARRAY_DIMENSIONS")
    return isinstance(dims, list) and dims == [name]
