"""The XML documents of a product, and the error messages for damaged or incomplete ones."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from functools import lru_cache

from pyproj import CRS
from pyproj.exceptions import CRSError

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.util import limits
from geodes_lab.util.xml import parsed


class Document:
    """One XML member of a product.

    Parameters
    ----------
    archive
        The product's members.
    member
        Its path; the document is read at once.

    Raises
    ------
    GeodesError
        If it is missing, or not valid XML.
    """

    def __init__(self, archive: Archive, member: str) -> None:
        self._take(f"{member.rsplit('/', 1)[-1]} of {archive.place.href}", archive.read(member))

    @classmethod
    def of(cls, name: str, data: bytes) -> Document:
        """Make one from bytes, if a document is a file of its own; ``name`` is its name in error messages."""
        document = cls.__new__(cls)
        document._take(name, data)
        return document

    def _take(self, name: str, data: bytes) -> None:
        self.name = name
        """Its name in error messages."""
        try:
            self.root = parsed(data)
        except ValueError as error:
            raise GeodesError(f"{self.name} is not valid XML ({error}); fetch the product again.") from error
        for element in self.root.iter():
            if isinstance(element.tag, str):
                element.tag = element.tag.rpartition("}")[2]  # local names are sufficient: the products' do not clash

    def text(self, path: str, within: ET.Element | None = None) -> str:
        """Return the text of the first element at ``path`` (in `xml.etree`'s syntax), which must exist.

        Raises
        ------
        GeodesError
            If there is no such element, or it is empty.
        """
        content = (self.root if within is None else within).findtext(path)
        if content is None or not content.strip():
            raise GeodesError(f"{self.name} has no {path.rsplit('/', 1)[-1]}: it is damaged; fetch the product again.")
        return content.strip()

    def number(self, path: str, within: ET.Element | None = None) -> float:
        """Return the number at ``path``, which must exist and be finite; see `numbers`."""
        content = self.numbers(path, within, 1)[0]
        if not math.isfinite(content):
            raise GeodesError(f"{path} in {self.name} is not a number: '{content}'; fetch the product again.")
        return content

    def numbers(self, path: str, within: ET.Element | None = None, count: int | None = None) -> list[float]:
        """Return the numbers at ``path``, separated by blanks.

        Raises
        ------
        GeodesError
            If they are missing, are not numbers, or are not as many as expected.
        """
        text = self.text(path, within)
        limits.refuse(f"{path} in {self.name}", len(text) // 2, limits.NUMBERS, "numbers")
        words = text.split()
        try:
            content = [float(w) for w in words]
        except ValueError:
            raise GeodesError(
                f"{path} in {self.name} is not a number: {words[0][:60]!r}; fetch the product again."
            ) from None
        if count is not None and len(content) != count:
            raise GeodesError(
                f"{path} in {self.name} has {len(content)} numbers, not {count}; fetch the product again."
            )
        return content

    def epsg(self, path: str) -> int:
        """Return the EPSG code at ``path``, with or without a prefix.

        Raises
        ------
        GeodesError
            If it is missing, or not the code of a CRS.
        """
        text = self.text(path)
        code = text.upper().removeprefix("EPSG:")
        if not code.isdigit() or not _is_known(int(code)):
            raise GeodesError(
                f"{path.rsplit('/', 1)[-1]} in {self.name} is not an EPSG code: {text!r}; fetch the product again."
            )
        return int(code)


@lru_cache(maxsize=256)
def _is_known(code: int) -> bool:
    try:
        CRS.from_epsg(code)
    except (CRSError, OverflowError):
        return False
    return True
