"""The authorities that this process trusts for TLS: the system's, and the datalake's own.

No other authority is trusted.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

import certifi

from geodes_lab import settings
from geodes_lab.errors import GeodesError


def authorities() -> str | None:
    """Return the certificates (PEM) of the setting ``datalake.ca``; None: only the system's are used.

    Raises
    ------
    GeodesError
        If the file does not exist, or has no certificate.
    """
    path = settings.get("datalake.ca")
    if not path:
        return None
    where = Path(path).expanduser()
    try:
        return _read(str(where), where.stat().st_mtime_ns)
    except OSError:
        raise GeodesError(
            f"geodes_lab.datalake.ca names {path}, which cannot be read: give the file with the datalake's CA "
            "certificates."
        ) from None


def context() -> ssl.SSLContext:
    """Return how HTTP clients verify a server; verification is always on."""
    return _context(authorities())


def bundle() -> str | None:
    """Return a file with the authorities of the system and the datalake, for libraries that accept one file.

    None: they use their own.
    """
    own = authorities()
    if own is None:
        return None
    folder = Path(settings.get("cache.folder")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    text = Path(certifi.where()).read_text() + "\n" + own
    path = folder / "authorities.pem"
    if not path.exists() or path.read_text() != text:
        part = path.with_suffix(f".{id(text):x}")
        part.write_text(text)
        part.replace(path)
    return str(path)


@lru_cache(maxsize=8)
def _read(path: str, _stamp: int) -> str:
    text = Path(path).read_text(errors="replace")
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise GeodesError(
            f"geodes_lab.datalake.ca names {path}, which contains no certificates: give a PEM file."
        ) from None
    return text


@lru_cache(maxsize=8)
def _context(own: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    if own:
        context.load_verify_locations(cadata=own)
    return context
