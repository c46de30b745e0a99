"""NetCDF-3, whose header says where the numbers of each variable are: read by ranges (CDF-1, CDF-2 and CDF-5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from geodes_lab.archive.member import Member

MAGIC = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
"""The first bytes of such files."""
_TYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8", 7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"}
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_MOST = 2**20  # of anything in a header: a larger count means damage
_LARGEST = 2**26  # bytes of a header


def read(member: Member) -> tuple[dict[str, xr.Variable], dict[str, Any]]:
    """Read the header.

    Returns
    -------
    variables, attributes
        As they are stored; variables are lazy, and can be pickled.

    Raises
    ------
    ValueError, OSError
        If the header is damaged, or the file ends in it.
    """
    header = _Header(member)
    records = header.count()
    dims = [(header.name(), header.count()) for _ in header.listed(_DIMENSIONS)]
    attributes = header.attributes()
    entries = [header.variable() for _ in header.listed(_VARIABLES)]
    # Variables along the unlimited dimension, which has length 0 here, are stored record by record.
    inner = [[dims[i][1] for i in (ids[1:] if ids and not dims[ids[0]][1] else ids)] for _, ids, *_ in entries]
    sizes = [
        np.dtype(kind).itemsize * math.prod(lengths) for (*_, kind, _), lengths in zip(entries, inner, strict=True)
    ]
    steps = [size for (_, ids, *_), size in zip(entries, sizes, strict=True) if ids and not dims[ids[0]][1]]
    # Each is padded to four bytes in a record, unless it is the only one.
    step = steps[0] if len(steps) == 1 else sum(-(-size // 4) * 4 for size in steps)
    if steps and records == 2**32 - 1:
        raise ValueError("the file was never closed: the number of its records is missing")
    variables = {}
    for (name, ids, attrs, kind, begin), size in zip(entries, sizes, strict=True):
        shape, unlimited = tuple(dims[i][1] or records for i in ids), bool(ids) and not dims[ids[0]][1]
        along = step if unlimited else size // shape[0] if size and ids else 0
        if size and begin + (step * (records - 1) if unlimited and records else 0) + size > member.size:
            raise OSError(f"the file ends too early: {name} continues after its end")
        array = _Array(member, begin, np.dtype(kind), shape, along)
        variables[name] = xr.Variable([dims[i][0] for i in ids], LazilyIndexedArray(array), attrs)
    return variables, attributes


class _Header:
    """Reads numbers and strings of a header, in order."""

    def __init__(self, member: Member) -> None:
        self._file, self._left = member.open(), min(member.size, _LARGEST)
        self._wide = self._take(4)[3]

    def _take(self, length: int) -> bytes:
        data = self._file.read(length) if 0 <= length <= self._left else b""
        self._left -= length
        if len(data) < length:
            raise OSError("its header ends too early")
        return data

    def _number(self, length: int) -> int:
        return int.from_bytes(self._take(length), "big")

    def count(self) -> int:
        return self._number(8 if self._wide == 5 else 4)

    def listed(self, tag: int) -> range:
        kind, count = self._number(4), self.count()
        if kind not in (0, tag) or count > (_MOST if kind else 0):
            raise ValueError("its header is damaged")
        return range(count)

    def padded(self, length: int) -> bytes:
        return self._take(-(-length // 4) * 4)[:length]

    def name(self) -> str:
        return self.padded(self.count()).decode()

    def attributes(self) -> dict[str, Any]:
        return {self.name(): self._value() for _ in self.listed(_ATTRIBUTES)}

    def _value(self) -> Any:
        kind = np.dtype(_TYPES[self._number(4)])
        data = self.padded(self.count() * kind.itemsize)
        if kind.kind == "S":
            return data.rstrip(b"\0").decode(errors="replace")
        values = np.frombuffer(data, kind).astype(kind.newbyteorder("="))
        return values[0] if values.size == 1 else values

    def variable(self) -> tuple[str, list[int], dict[str, Any], str, int]:
        """Return name, dimensions by number, attributes, type, and the offset of the numbers."""
        name, count = self.name(), self.count()
        if count > _MOST:
            raise ValueError("its header is damaged")
        ids, attrs, kind = [self.count() for _ in range(count)], self.attributes(), _TYPES[self._number(4)]
        self.count()  # its size in bytes, which follows from the shape too
        return name, ids, attrs, kind, self._number(4 if self._wide == 1 else 8)


class _Array(BackendArray):
    """The numbers of one variable."""

    def __init__(self, member: Member, begin: int, stored: np.dtype[Any], shape: tuple[int, ...], along: int) -> None:
        self.member, self.begin, self.stored, self.shape, self.along = member, begin, stored, shape, along
        self.dtype = stored.newbyteorder("=")

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> Any:
        """Read the range from the first to the last index along the first dimension, in one request."""
        if not self.shape:
            return self._between(0, 1, ())[0]
        first, *others = key
        wanted = range(self.shape[0])[first if isinstance(first, slice) else slice(first, first + 1)]
        low, high = (min(wanted), max(wanted) + 1) if wanted else (0, 0)
        values = self._between(low, high, self.shape[1:])[np.array(wanted, int) - low]
        return values[(slice(None) if isinstance(first, slice) else 0, *others)]

    def _between(self, low: int, high: int, rest: tuple[int, ...]) -> Any:
        count, size = high - low, self.stored.itemsize * math.prod(rest)
        if not count or not size:
            return np.zeros((count, *rest), self.dtype)
        data = self.member.read(self.begin + low * self.along, (count - 1) * self.along + size)
        if len(data) < (count - 1) * self.along + size:
            raise OSError("the file ends too early")
        strides = (self.along, *(self.stored.itemsize * math.prod(rest[n + 1 :]) for n in range(len(rest))))
        return np.ndarray((count, *rest), self.stored, data, strides=strides).astype(self.dtype)
