"""The XML documents of a product, and the sentences for those that are damaged or incomplete."""

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
        Its path; it is read at once, whole.

    Raises
    ------
    GeodesError
        If it is missing, or not valid XML.
    """

    def __init__(self, archive: Archive, member: str) -> None:
        self._take(f"{member.rsplit('/', 1)[-1]} of {archive.place.href}", archive.read(member))

    @classmethod
    def of(cls, name: str, data: bytes) -> Document:
        """Make one of what was read, where a document is a file of its own; ``name`` is what sentences call it."""
        made = cls.__new__(cls)
        made._take(name, data)
        return made

    def _take(self, name: str, data: bytes) -> None:
        self.name = name
        """What sentences call it."""
        try:
            self.root = parsed(data)
        except ValueError as error:
            raise GeodesError(f"{self.name} is not valid XML ({error}); fetch the product again.") from error
        for element in self.root.iter():
            if isinstance(element.tag, str):
                element.tag = element.tag.rpartition("}")[2]  # names alone are enough: the products' do not clash

    def text(self, path: str, within: ET.Element | None = None) -> str:
        """The text of the first element at ``path`` (`xml.etree`'s), which must be there.

        Raises
        ------
        GeodesError
            If there is no such element, or it is empty.
        """
        found = (self.root if within is None else within).findtext(path)
        if found is None or not found.strip():
            raise GeodesError(f"{self.name} has no {path.rsplit('/', 1)[-1]}: it is damaged; fetch the product again.")
        return found.strip()

    def number(self, path: str, within: ET.Element | None = None) -> float:
        """The number at ``path``, which must be there and finite; see `numbers`."""
        found = self.numbers(path, within, 1)[0]
        if not math.isfinite(found):
            raise GeodesError(f"{path} in {self.name} is no number: '{found}'; fetch the product again.")
        return found

    def numbers(self, path: str, within: ET.Element | None = None, count: int | None = None) -> list[float]:
        """The numbers at ``path``, separated by blanks.

        Raises
        ------
        GeodesError
            If they are missing, no numbers, or not as many as they must be.
        """
        text = self.text(path, within)
        limits.refuse(f"{path} in {self.name}", len(text) // 2, limits.NUMBERS, "numbers")
        words = text.split()
        try:
            found = [float(w) for w in words]
        except ValueError:
            raise GeodesError(
                f"{path} in {self.name} is no number: {words[0][:60]!r}; fetch the product again."
            ) from None
        if count is not None and len(found) != count:
            raise GeodesError(f"{path} in {self.name} has {len(found)} numbers, not {count}; fetch the product again.")
        return found

    def epsg(self, path: str) -> int:
        """The EPSG code at ``path``, with or without the word before it.

        Raises
        ------
        GeodesError
            If it is missing, or the code of no CRS.
        """
        text = self.text(path)
        code = text.upper().removeprefix("EPSG:")
        if not code.isdigit() or not _is_known(int(code)):
            raise GeodesError(
                f"{path.rsplit('/', 1)[-1]} in {self.name} is no EPSG code: {text!r}; fetch the product again."
            )
        return int(code)


@lru_cache(maxsize=256)
def _is_known(code: int) -> bool:
    try:
        CRS.from_epsg(code)
    except (CRSError, OverflowError):
        return False
    return True
