"""The codecs, number types and sizes of a Zarr array: only those that products have.

Some codecs of numcodecs are programs (pickle), others are whole file formats; a chunk of one byte may stand for a
terabyte.
"""

from __future__ import annotations

import re
from typing import Any

from geodes_lab.formats import compressed_size
from geodes_lab.util import limits

_DIMS = 16
_CODED_AS = re.compile(r"[<>|=]?[biuf][1248]|bool|u?int(8|16|32|64)|float(16|32|64)")
# Codecs that keep the size, or reduce it a little; codecs that change the number type, and with it the size.
_PLAIN = {"shuffle", "delta", "bitround", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3"}
_KINDS = {"astype", "fixedscaleoffset", "quantize"}
_WORDED = {"vlen-utf8", "vlen-bytes"}
_NUMBER = re.compile(r"[<>|]?([biufcmMSUV])(\d{1,9})(?:\[\d*\w+\])?")
_NAMED = re.compile(r"(?:u?int|float|complex|r)(\d{1,3})")


def sizes(sizes_in_document: Any, least: int) -> tuple[int, ...]:
    """Read sizes along dimensions, each at least ``least``."""
    is_list = isinstance(sizes_in_document, list) and len(sizes_in_document) <= _DIMS
    if not is_list or not all(type(n) is int and n >= least for n in sizes_in_document):
        raise ValueError(f"sizes that are not valid: {str(sizes_in_document)[:60]}")
    return tuple(sizes_in_document)


def itemsize(kind: Any) -> int:
    """Return the bytes of a number; 0: strings of variable length."""
    if isinstance(kind, dict):
        configuration = kind.get("configuration") or {}
        lengths = [configuration[k] for k in ("length_bytes",) if k in configuration]
        if kind.get("name") in ("numpy.datetime64", "numpy.timedelta64"):
            return 8
        if len(lengths) == 1 and type(lengths[0]) is int and 0 < lengths[0] <= limits.TILE:
            return int(lengths[0])
    elif isinstance(kind, str):
        if kind in ("bool", "int8", "uint8"):
            return 1
        if kind in ("string", "bytes", "variable_length_utf8", "variable_length_bytes", "|O"):
            return 0
        if match := _NAMED.fullmatch(kind):
            return max(int(match[1]) // 8, 1)
        if match := _NUMBER.fullmatch(kind):
            return max(int(match[2]) * (4 if match[1] == "U" else 1), 1)
    raise ValueError(f"a number type that is not supported: {str(kind)[:60]}")


def old(filters: Any, compressor: Any) -> dict[str, Any]:
    """Read how format 2 stores numbers."""
    names = [_name(f, "id") for f in filters] if isinstance(filters, list) else ["?"]
    way = None if compressor is None else _name(compressor, "id")
    return _understood(names, way, False)


def stored(codecs: Any, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Read how format 3 stores numbers."""
    if not isinstance(codecs, list) or not codecs:
        raise ValueError("no codecs")
    if _name(codecs[0], "name") == "sharding_indexed":
        sharding = codecs[0]["configuration"]
        index = [_name(c, "name") for c in sharding.get("index_codecs", [])]
        last = sharding.get("index_location", "end")
        if len(codecs) > 1 or index not in (["bytes"], ["bytes", "crc32c"]) or last not in ("start", "end"):
            raise ValueError("a kind of shards that is not supported")
        inner = sizes(sharding["chunk_shape"], 1)
        if len(inner) != len(chunks) or any(_name(c, "name") == "sharding_indexed" for c in sharding["codecs"]):
            raise ValueError("shards in shards, or of other dimensions")
        # Four bytes of a checksum may follow the index.
        return {**stored(sharding["codecs"], inner), "shards": chunks, "is_index_last": last == "end"}
    names = [_name(c, "name") for c in codecs]
    compressors = [n for n in names if n in compressed_size.WAYS]
    at = names.index(compressors[0]) if compressors else len(names)
    behind = names[at + 1 :]
    if len(compressors) > 1 or behind not in ([], ["crc32c"]):
        raise ValueError(f"several codecs for one array: {', '.join(names)[:80]}")
    others = [n for n in names[:at] if n not in ("bytes", "transpose")]
    properties = _understood(others, compressors[0] if compressors else None, bool(behind))
    return {"chunks": chunks, "shards": None, "is_index_last": True, **properties}


def _understood(names: list[str], compressor: str | None, sum_behind: bool) -> dict[str, Any]:
    """Check that the codecs are known to be harmless."""
    wrong = [n for n in names if n not in _PLAIN | _KINDS | _WORDED]
    if compressor is not None and compressor not in compressed_size.WAYS:
        wrong.append(compressor)
    if wrong:
        raise ValueError(f"the codec {wrong[0][:40]!r}, which products do not use")
    stretch = 8 if _KINDS & set(names) else 1
    return {"compressor": compressor, "sum_behind": sum_behind, "words": bool(_WORDED & set(names)), "stretch": stretch}


def _name(codec: Any, field: str) -> str:
    for description in (codec, codec.get("configuration") or {}) if isinstance(codec, dict) else ():
        wrong = [
            v
            for k, v in description.items()
            if k.endswith("dtype") or k == "astype"
            if v is not None and not _CODED_AS.fullmatch(str(v))
        ]
        if wrong:
            raise ValueError(f"a codec that returns {str(wrong[0])[:40]!r}, which are not numbers")
    name = codec if isinstance(codec, str) else codec[field]
    if not isinstance(name, str):
        raise ValueError("a codec without a name")
    return name.removeprefix("numcodecs.")
