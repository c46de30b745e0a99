"""Whether a file is the product that its source published, whole and right in each of its parts."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pystac

from geodes_lab.acquisition.identity import Identity, part_of
from geodes_lab.acquisition.publication import Publication
from geodes_lab.acquisition.telling.layout import layout, version
from geodes_lab.archive import central_directory
from geodes_lab.archive.member_index import Directory
from geodes_lab.downloading.manifest import Manifest
from geodes_lab.downloading.verify import Evidence, Wrong, verify
from geodes_lab.errors import GeodesError
from geodes_lab.storage import multihash
from geodes_lab.storage.location import place_of
from geodes_lab.storage.multihash import Checksum, Digest
from geodes_lab.util.xml import parsed

_BLOCK = 2**20  # bytes that are read at once
_LARGEST = 2**26  # bytes of a document
_DOCUMENT = re.compile(r"\.(?:xml|safe|gml|xsd)$", re.IGNORECASE)
_ZIPS = ("sentinel1", "sentinel2", "sentinel3", "maja")
_L1C = [f"B{n:02d}" for n in range(1, 13)] + ["B8A"]
_L2A = [b for b in _L1C if b != "B10"] + ["SCL"]
_turns = threading.BoundedSemaphore(2)  # at the same time: more would take memory and no less time
OURS = "BLAKE3"
"""The checksum that is computed of each product, whatever its source publishes."""


@dataclass(frozen=True)
class Verified:
    """What was proved of a file."""

    evidence: str
    """In words."""
    size: int
    checksums: dict[str, str]
    """All that were computed, by algorithm; those that the source published are among them, and are equal."""
    part: str = ""
    """Of the pass, where a tile has several."""
    layout: tuple[str, ...] = ()
    """Its members and the versions of its metadata, as those of others of its type are; empty: it is no zip."""


class Digests:
    """Several checksums of the same bytes; for `geodes_lab.storage.whole_object.partial`, which takes one."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._each: dict[str, Digest] = {a: multihash.begin(a) for a in algorithms}

    def update(self, data: Any, /) -> None:
        """Add bytes."""
        for digest in self._each.values():
            digest.update(data)

    def hexdigest(self) -> str:
        """Return the first one."""
        return next(iter(self._each.values())).hexdigest()

    def all(self) -> dict[str, str]:
        """Return all of them, by algorithm."""
        return {a: d.hexdigest() for a, d in self._each.items()}


def published(publication: Publication) -> list[Checksum]:
    """Return the checksums that a source publishes and that can be verified."""
    return [c for c in map(multihash.parse, publication.checksums) if c]


def digests(publication: Publication) -> Digests:
    """Begin the checksums of a product: those that its source publishes, and one of ours."""
    return Digests(dict.fromkeys([*(c.algorithm for c in published(publication)), OURS]))


def of_file(path: Path, begun: Digests, check: Callable[[], None]) -> Digests:
    """Compute the checksums of a file."""
    with path.open("rb", buffering=0) as file:
        while data := file.read(_BLOCK):
            begun.update(data)
            check()
    return begun


def verified(
    path: Path, publication: Publication, identity: Identity, computed: Digests, check: Callable[[], None]
) -> Verified:
    """Verify a file.

    Its size and all published checksums; the CRC-32 of every member and its checksum in the manifest; that the manifest
    lists nothing that is not there; that its documents are well-formed XML; that it is the product that it is called;
    and that its family's bands or polarisations are all there.

    Raises
    ------
    Wrong
        If it is something else, or damaged; the sentence names the product and the member.
    OSError
        If the file cannot be read.
    """
    has = computed.all()
    for wanted in published(publication):
        if has[wanted.algorithm] != wanted.digest:
            raise Wrong(
                f"{identity.name} has another {wanted.algorithm} than the one that its source publishes: its bytes are "
                "not right."
            )
    is_zip = identity.family in _ZIPS or any(h.lower().endswith(".zip") for h in publication.hrefs)
    # Its checksums are compared above, all of them: this verifies the size and the members.
    with _turns:
        evidence = verify(path, _described(path, publication, identity), is_zip=is_zip, every_member=True, check=check)
    part, made = "", tuple[str, ...]()
    if evidence.members is not None:
        part, made = _inside(path, identity, check)
    shown = ", ".join(f"{c.algorithm} {c.digest}" for c in published(publication))
    words = _words(evidence, shown, bool(publication.checksums))
    return Verified(words, evidence.size, has, part, made)


def _described(path: Path, publication: Publication, identity: Identity) -> pystac.Item:
    item = pystac.Item(
        identity.name, None, None, publication.published, {"identifier": identity.name, "start_datetime": None}
    )
    fields = {"file:size": publication.size} if publication.size is not None else {}
    item.add_asset("product", pystac.Asset(str(path), extra_fields=fields))
    return item


def _words(evidence: Evidence, checksums: str, has_others: bool) -> str:
    without = "a checksum of an unknown kind" if has_others else "no checksum is published"
    words = str(evidence).replace("no checksum is published", checksums or without, 1)
    return f"{words}, XML, bands" if evidence.members is not None else words


def _inside(path: Path, identity: Identity, check: Callable[[], None]) -> tuple[str, tuple[str, ...]]:
    """Verify what a zip has in it; return the part of the pass that it is, and how it is made."""
    versions = dict[str, str]()
    place = place_of(str(path.absolute()))
    try:
        directory = Directory(place, *central_directory.read(place))
        names = directory.names
        if identity.family in _ZIPS and not all(_is_of(n, identity.name) for n in names):
            roots = sorted({n.partition("/")[0] for n in names})[:3]
            raise Wrong(f"{identity.name} is another product inside: its zip has {', '.join(roots)}.")
        for name in sorted(filter(_DOCUMENT.search, names)):
            check()
            try:
                versions[name] = version(parsed(directory.read(name, _LARGEST)))
            except ValueError as error:
                raise Wrong(f"{name} of {identity.name} is not well-formed XML ({error}).") from None
        manifest = Manifest.of_directory(directory)
    except Wrong:
        raise
    except GeodesError as error:
        raise Wrong(f"{identity.name} is not right: {str(error).rstrip('.')}.") from error
    if identity.family in ("sentinel1", "sentinel2", "sentinel3") and manifest is None:
        raise Wrong(f"{identity.name} has no manifest, which all products of its family have.")
    if manifest is not None and (absent := sorted(manifest.listed - names)):
        more = f" and {len(absent) - 1} others" if len(absent) > 1 else ""
        raise Wrong(f"{absent[0]}{more} of {identity.name} is not there, though its manifest lists it.")
    if missing := _missing(names, identity):
        raise Wrong(f"{identity.name} lacks {', '.join(missing)}, which products of its type have.")
    return part_of(names, identity), layout(names, versions)


def _is_of(member: str, name: str) -> bool:
    root = member.partition("/")[0]
    return root == name or root.startswith(f"{name}.")


def _missing(names: frozenset[str], identity: Identity) -> list[str]:
    """Return the bands or polarisations that should be there and are not."""
    if identity.product_type in ("S2MSI1C", "S2MSI2A"):
        images = "\n".join(n for n in names if "/IMG_DATA/" in n)
        wanted = _L1C if identity.product_type == "S2MSI1C" else _L2A
        return [b for b in wanted if not re.search(rf"_{b}(?:_\d\dm)?\.jp2$", images, re.MULTILINE)]
    if identity.family == "sentinel1" and identity.product_type[:3] in ("GRD", "SLC"):
        images = "\n".join(n.rpartition("/")[2] for n in names if "/measurement/" in n)
        return [p for p in identity.polarisations if not re.search(rf"^s1\w-\w+-\w+-{p}-", images, re.MULTILINE)]
    return []
