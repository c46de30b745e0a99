"""The manifest of a SAFE or SEN3 product: the files that it lists, their checksums, and a manifest of some of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import unquote
from xml.dom import minidom

from geodes_lab.archive.archive import Archive
from geodes_lab.archive.member_index import Directory
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.storage import multihash
from geodes_lab.storage.multihash import Checksum

_NAME = re.compile(r"(?:^|/)(?:manifest\.safe|xfdumanifest\.xml)$", re.IGNORECASE)
_LARGEST = 2**26  # bytes


@dataclass(frozen=True)
class Manifest:
    """The manifest of one product."""

    member: str
    """Its path in the archive."""
    data: bytes
    """The document."""
    listed: frozenset[str]
    """The paths in the archive of the files that it lists."""
    checksums: dict[str, Checksum]
    """Their checksums by that path, where it has one that can be verified."""

    @classmethod
    def of(cls, archive: Archive) -> Manifest | None:
        """Read the manifest of a product; None if it has none."""
        members = _named(archive.names)
        return cls._parsed(archive.place.href, members[0], archive.read(members[0])) if members else None

    @classmethod
    def of_directory(cls, directory: Directory) -> Manifest | None:
        """Read the manifest from a zip's list of members; None if it has none."""
        members = _named(directory.names)
        if not members:
            return None
        return cls._parsed(directory.place.href, members[0], directory.read(members[0], _LARGEST))

    @classmethod
    def _parsed(cls, product: str, member: str, data: bytes) -> Manifest:
        document = Document.of(f"{member.rsplit('/', 1)[-1]} of {product}", data)
        listed, checksums = set(), {}
        for stream in document.root.iter("byteStream"):
            place = stream.find("fileLocation")
            href = place.get("href") if place is not None else None
            if not href:
                raise GeodesError(
                    f"{document.name} lists a file without its path: the product is damaged; fetch it again, or from "
                    "elsewhere."
                )
            path = _path(member, href)
            listed.add(path)
            for element in stream.iter("checksum"):
                if known := multihash.named(element.get("checksumName", ""), element.text or ""):
                    checksums[path] = known
        return cls(member, data, frozenset(listed), checksums)

    def of_some(
        self, there: Collection[str], changed: Mapping[str, tuple[int, str | None]] = MappingProxyType({})
    ) -> bytes:
        """Return a manifest that lists, of the listed files, only those that are there.

        Units, metadata objects and references of the other files are left out too. Everything else stays as it is.

        Parameters
        ----------
        there
            The paths of the files.
        changed
            Size and checksum of files that are others than the product's; None: the checksum is left out.
        """
        # `Document` has parsed it already: it declares no entities.
        document = minidom.parseString(self.data)
        gone = set()
        for node in _all(document, "dataObject"):
            hrefs = [e.getAttribute("href") for e in _all(node, "fileLocation")]
            if not any(_path(self.member, h) in there for h in hrefs):
                gone.add(node.getAttribute("ID"))
                _remove(node)
        for node in _all(document, "byteStream"):
            paths = [_path(self.member, e.getAttribute("href")) for e in _all(node, "fileLocation")]
            if paths and (fresh := changed.get(paths[0])):
                _describe(node, *fresh)
        notes = set()
        for pointer in _all(document, "dataObjectPointer"):
            parent = pointer.parentNode
            if pointer.getAttribute("dataObjectID") not in gone or parent is None:
                continue
            if isinstance(parent, minidom.Element) and parent.localName == "metadataObject":
                notes.add(parent.getAttribute("ID"))
                _remove(parent)
            else:
                _remove(pointer)
        _tidy(document)
        for node in _all(document, "contentUnit"):
            for name in ("dmdID", "pdiID", "anyMdID"):
                if node.hasAttribute(name):
                    words = [word for word in node.getAttribute(name).split() if word not in notes]
                    node.setAttribute(name, " ".join(words)) if words else node.removeAttribute(name)
        return document.toxml(encoding="UTF-8")


def _named(names: Collection[str]) -> list[str]:
    """Return the manifests, the one nearest to the root first."""
    return sorted(filter(_NAME.search, names), key=lambda name: (name.count("/"), name))


def _path(manifest: str, href: str) -> str:
    """Return the path in the archive of a file that a manifest names; such a path is only compared with members."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(manifest), unquote(href)))


def _all(node: minidom.Document | minidom.Element, name: str) -> list[minidom.Element]:
    return [e for e in node.getElementsByTagName("*") if e.tagName.rpartition(":")[2] == name]


def _describe(stream: minidom.Element, size: int, checksum: str | None) -> None:
    """Have a manifest say the size and the checksum that a file has now."""
    stream.setAttribute("size", str(size))
    for element in _all(stream, "checksum"):
        document = element.ownerDocument
        if checksum is None or document is None:
            _remove(element)
            continue
        while element.firstChild is not None:
            element.removeChild(element.firstChild)
        element.appendChild(document.createTextNode(checksum))


def _remove(node: minidom.Element) -> None:
    if isinstance(node.parentNode, minidom.Element):
        node.parentNode.removeChild(node)


def _tidy(document: minidom.Document) -> None:
    """Remove units that have lost all that they held, from the innermost on."""
    for node in reversed(_all(document, "contentUnit")):
        holds = any(e.nodeType == e.ELEMENT_NODE for e in node.childNodes)
        parent = node.parentNode
        if not holds and isinstance(parent, minidom.Element) and parent.tagName.rpartition(":")[2] == "contentUnit":
            _remove(node)
