"""How products of a type are made: their members and the versions of their metadata, without what is each one's own."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping

_MOST = 400  # lines that are kept; a product of Sentinel-1 SLC has about 100, of Sentinel-2 about 200
_NAMESPACE = re.compile(r"\{([^}]{1,200})\}")
# What is each product's own in the names of its members: times, orbits, tiles, stations, polarisations, numbers.
_OWN = (
    (re.compile(r"\d{8}t\d{6}(?:\.\d+)?", re.IGNORECASE), "<time>"),
    (re.compile(r"(?<![a-z0-9])t\d{2}[a-z]{3}(?![a-z0-9])", re.IGNORECASE), "<tile>"),
    (re.compile(r"(?<=DS_)[A-Z0-9]{4}(?=_<time>)"), "<station>"),
    (re.compile(r"(?<![a-z0-9])s[123][a-d](?![a-z0-9])", re.IGNORECASE), "<satellite>"),
    (re.compile(r"(?<=-)(?:vv|vh|hh|hv)(?=-)"), "<polarisation>"),
    (re.compile(r"(?<![a-z0-9])[ar]?\d{3,}(?![a-z0-9])", re.IGNORECASE), "<number>"),
    (re.compile(r"(?<=-<number>)-[0-9a-f]{4,6}(?=-)", re.IGNORECASE), "-<number>"),
)


def version(root: ET.Element) -> str:
    """Return what a document says of its version: its namespace, and its attribute ``version``."""
    space = _NAMESPACE.match(root.tag)
    told = [space[1] if space else "", root.get("version", "")[:200]]
    return " ".join(filter(None, told))


def layout(names: Iterable[str], versions: Mapping[str, str]) -> tuple[str, ...]:
    """Return the members of a zip as patterns, in order, each document with its version.

    Parameters
    ----------
    names
        Of the members.
    versions
        Of documents, by name.
    """
    lines = set()
    for name in names:
        inner = name.partition("/")[2]
        if not inner or inner.endswith("/"):
            continue
        for pattern, instead in _OWN:
            inner = pattern.sub(instead, inner)
        told = versions.get(name, "")
        lines.add(f"{inner[:200]} ({told})" if told else inner[:200])
    return tuple(sorted(lines)[:_MOST])
