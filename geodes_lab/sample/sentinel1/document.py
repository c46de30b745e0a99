"""Documents in the form of ESA's annotations: elements from values, numbers as ESA writes them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np


def fields(line: str) -> dict[str, Any]:
    """Return elements from ``name value; name value``."""
    return dict(field.split(" ", 1) for field in line.split("; "))


def none(*names: str) -> dict[str, list[Any]]:
    """Return empty lists of these names."""
    return {f"{name}List": [] for name in names}


def xml(root: str, content: Mapping[str, Any]) -> bytes:
    """Return a document of nested elements. Lists and arrays have their length in ``count``."""
    tree = ET.Element(root)
    _fill(tree, content)
    ET.indent(tree)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(tree) + b"\n"


def _fill(parent: ET.Element, content: Mapping[str, Any]) -> None:
    for tag, value in content.items():
        child = ET.SubElement(parent, tag)
        match value:
            case dict():
                _fill(child, value)
            case list():
                child.set("count", str(len(value)))
                for entry in value:
                    _fill(ET.SubElement(child, tag.removesuffix("List")), entry)
            case np.ndarray():
                child.set("count", str(value.size))
                child.text = " ".join(map(text, value))
            case _:
                child.text = text(value)


def text(value: Any) -> str:
    """Return a value in ESA's format: 15 decimals for a double, 6 for a float; a time has microseconds and no zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(timespec="microseconds")
    if isinstance(value, np.float32):
        return f"{value:.6e}"
    return f"{value:.15e}" if isinstance(value, float) else str(value)
