"""What a request asks for: the parts of its path and its query, each within limits, before anything else sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode

MOSAIC = "~mosaic"
"""In place of an Item: the mosaic of a search."""
_LONG = 4096  # characters of a query
_NAME = 300  # characters of a collection or an Item
_VALUE = 1000
_FORMATS = r"\.(?:png|jpg|jpeg|webp|tif|npy)"
_NUMBER = r"-?\d{1,10}(?:\.\d{1,30})?(?:e-\d{1,3})?"  # as programs write floating-point numbers
_TILE = re.compile(rf"tiles/(?:(\w{{1,40}})/)?(\d{{1,2}})/(\d{{1,9}})/(\d{{1,9}})({_FORMATS})?")
_PLAIN = re.compile(
    rf"info|info\.geojson|statistics|tiles|tiles/\w{{1,40}}|(?:\w{{1,40}}/)?tilejson\.json|WMTSCapabilities\.xml|"
    rf"point/{_NUMBER},{_NUMBER}|preview(?:{_FORMATS})?|preview/\d{{1,4}}x\d{{1,4}}{_FORMATS}|"
    r"tileMatrixSets|tileMatrixSets/\w{1,40}|legend\.(?:png|json)|presets\.json"
)
_TMS = "WebMercatorQuad"  # of addresses that name none
_SEARCH = {"datetime", "order", "cloud_cover", "bbox"}
_DRAWING = {
    "bands", "expression", "mask", "resampling", "rescale", "gamma", "colormap_name", "tilesize", "tile_format",
    "minzoom", "maxzoom", "max_size", "width", "height", "p", "bins", "f", "zooms", "use_epsg", "coord_crs", "dst_crs",
    "crs",
}  # fmt: skip
# Clients of WMTS send these, in capitals or not; they say nothing that the address does not say.
_IGNORED = {"service", "request", "version", "acceptversions", "sections", "acceptformats", "updatesequence"}


class NotSo(Exception):
    """A request that is refused: its status, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Address:
    """What is asked for."""

    collection: str
    """The collection's id."""
    item: str
    """The Item's id, or `MOSAIC`."""
    rest: str
    """What of it, in TiTiler's terms."""
    query: tuple[tuple[str, str], ...]
    """How it is drawn."""
    search: tuple[tuple[str, str], ...] = ()
    """Of a mosaic: its products."""
    tile: tuple[str, int, int, int] | None = None
    """If it is one: tile matrix set, zoom, column, row."""

    @property
    def base(self) -> str:
        """The address of the Item, below the service's prefix."""
        return f"{quote(self.collection, safe='')}/{quote(self.item, safe='')}"

    @property
    def linked(self) -> tuple[tuple[str, str], ...]:
        """What of the search the links of an answer must have, to show the same products; tiles have no links."""
        return () if self.tile else tuple(pair for pair in self.search if pair[0] != "bbox")

    @property
    def text(self) -> str:
        """The query, normalised."""
        return urlencode(self.query)


def parsed(raw_path: bytes, prefix: str, raw_query: bytes) -> Address:
    """Parse the path and the query of a request, as they came over the wire.

    Raises
    ------
    NotSo
        If there is no such address.
    """
    try:
        path = raw_path.partition(b"?")[0].decode("ascii").removeprefix(prefix)
        collection, item, *others = path.split("/", 2)
        collection, item = unquote(collection, errors="strict"), unquote(item, errors="strict")
        rest = unquote(others[0], errors="strict") if others else "info"
    except (ValueError, UnicodeError):
        raise NotSo(404, "The address is COLLECTION/ITEM/tiles/ZOOM/COLUMN/ROW below this service.") from None
    if not _is_name(collection) or not _is_name(item):
        raise NotSo(404, "The address has no valid collection or Item.")
    drawing, search = _query(raw_query)
    if search and item != MOSAIC:
        raise NotSo(400, f"{search[0][0]} chooses the products of a mosaic: ask for COLLECTION/{MOSAIC}/….")
    if match := _TILE.fullmatch(rest):
        name, zoom, column, row = match[1] or _TMS, int(match[2]), int(match[3]), int(match[4])
        rest = f"tiles/{name}/{zoom}/{column}/{row}{match[5] or ''}"
        return Address(collection, item, rest, drawing, search, (name, zoom, column, row))
    if not _PLAIN.fullmatch(rest):
        raise NotSo(404, f"There is no {rest[:60]!r} here: ask for tiles, tilejson.json, preview, point, statistics …")
    return Address(collection, item, f"{_TMS}/{rest}" if rest == "tilejson.json" else rest, drawing, search)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _NAME and text.isprintable() and text not in (".", "..")


def _query(raw: bytes) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """Return how it is drawn, and what is searched."""
    if len(raw) > _LONG:
        raise NotSo(414, f"The query has more than {_LONG} characters, which is the limit.")
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=60)
    except (ValueError, UnicodeError):
        raise NotSo(400, "The query cannot be read.") from None
    drawing, search = [], []
    for name, value in pairs:
        if name == "key" or name.lower() in _IGNORED:
            continue
        if len(value) > _VALUE or not value.isprintable():
            raise NotSo(400, f"{name[:40]} is too long, or has characters that are not text.")
        if name in _SEARCH:
            search.append((name, value))
        elif name in _DRAWING:
            drawing.append((name, value))
        else:
            known = ", ".join(sorted(_DRAWING | _SEARCH))
            raise NotSo(400, f"{name[:40]!r} is not known here. A request can have: {known}.")
    return tuple(drawing), tuple(search)


def one(pairs: Sequence[tuple[str, str]], name: str, default: str = "") -> str:
    """Return a value that is given at most once."""
    values = [v for n, v in pairs if n == name]
    if len(values) > 1:
        raise NotSo(400, f"{name} is given {len(values)} times: give it once.")
    return values[0] if values else default
