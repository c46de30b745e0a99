"""Checksums of files as STAC publishes them: a multihash in hexadecimal, whose beginning names the algorithm."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple, Protocol

# How a multihash begins (code and length), the algorithm's name for people, and hashlib's name for it.
_KINDS = {
    "d50110": ("MD5", "md5"),
    "1114": ("SHA-1", "sha1"),
    "1220": ("SHA-256", "sha256"),
    "1340": ("SHA-512", "sha512"),
    "1620": ("SHA3-256", "sha3_256"),
    "1e20": ("BLAKE3", "blake3"),
}
_BY_NAME = {label.replace("-", ""): (label, name) for label, name in _KINDS.values()}


class Digest(Protocol):
    """A checksum that is being computed."""

    def update(self, data: Any, /) -> Any:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the checksum of all bytes until now, in hexadecimal."""


class Checksum(NamedTuple):
    """A checksum that is published for a file."""

    algorithm: str
    """Its name for people, such as ``SHA-256``."""
    digest: str
    """In hexadecimal, small letters."""

    def begin(self) -> Digest:
        """Begin to compute it for a file."""
        return begin(self.algorithm)


def parse(text: object) -> Checksum | None:
    """Read a multihash; None if it is empty, or of an algorithm or a length that is not verified here."""
    if not isinstance(text, str):
        return None
    lower = text.strip().lower()
    for prefix, (label, _) in _KINDS.items():
        rest = lower.removeprefix(prefix)
        if rest != lower and len(rest) == 2 * int(prefix[-2:], 16) and not set(rest) - set("0123456789abcdef"):
            return Checksum(label, rest)
    return None


def named(algorithm: str, digest: str) -> Checksum | None:
    """Return a checksum whose algorithm is named, as in a manifest: ``MD5``, ``SHA3-256``; None if it is not known."""
    known = _BY_NAME.get(algorithm.upper().replace("-", "").replace("_", ""))
    return Checksum(known[0], digest.strip().lower()) if known else None


def begin(algorithm: str) -> Digest:
    """Begin to compute a checksum by the name of its algorithm."""
    name = _BY_NAME[algorithm.replace("-", "")][1]
    if name == "blake3":
        from blake3 import blake3  # a compiled library that most products do not need

        return blake3()
    return hashlib.new(name, usedforsecurity=False)
