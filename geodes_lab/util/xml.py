"""XML of unknown origin as a tree: bounded in memory and time; nothing outside of it is read."""

from __future__ import annotations

import codecs
import re
import xml.etree.ElementTree as ET

_LARGEST = 2**21  # tags, or attributes; the largest metadata have some hundred thousand
# Encodings of Python whose time grows with the square of the length, or that documents never have.
_OTHERS = {"punycode", "idna", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined"}
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_NAMESPACE = re.compile(r"xmlns(?::[^\s=]{0,200})?\s*=\s*[\"'][^\"']{301}")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([\w.:-]{1,40})[\"']")


def parsed(data: bytes) -> ET.Element:
    """Parse a document.

    Parameters
    ----------
    data
        The whole document. Declarations of entities are refused: no product has them, and a few bytes of them may stand
        for gigabytes, or for another file.

    Raises
    ------
    ValueError
        If it is empty, is not well-formed, has an unknown encoding or another than it declares, or is larger than any
        metadata.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise ValueError("it is empty" if not data else "it holds no text")
    declared = _DECLARED.match(data[:256])
    encoding = next((e for bom, e in _BOMS.items() if data.startswith(bom)), None)
    try:
        if declared and codecs.lookup(declared[1].decode("ascii")).name.replace("_", "-") in _OTHERS:
            raise LookupError
        # Decoded before the check: an unusual encoding could hide what is searched for.
        text = data.decode(encoding or (declared[1].decode("ascii") if declared else "utf-8"))
    except LookupError:
        raise ValueError("its encoding does not exist") from None
    if "<!ENTITY" in text or "<!ATTLIST" in text:
        raise ValueError("it declares entities or attributes, which metadata never do: refused")
    if _NAMESPACE.search(text):
        raise ValueError("it has a longer namespace than any metadata: refused")
    if text.count("<") > _LARGEST:
        raise ValueError("it has more elements than any metadata: refused")
    if text.count("=") > _LARGEST:
        raise ValueError("it has more attributes than any metadata: refused")
    try:
        return ET.fromstring(text)
    except ET.ParseError as error:
        raise ValueError(str(error)) from None
