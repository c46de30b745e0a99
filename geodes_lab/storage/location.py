"""Where an object is: in the local mirror, else on the datalake's S3, else in a plain file or on a web server."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.storage.object_location import ObjectLocation

# The grammar of S3: a bucket or key that breaks it, or that no file system may have, is refused before it becomes part
# of a path.
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_NO_KEY = re.compile(r"[\x00-\x1f\x7f\\]")
_LONGEST = 1024  # bytes of a key
ELSEWHERE = "file-elsewhere"
"""The scheme of a file that a server's Item names.

The file is on the server's machine, and is not looked for on this one.
"""


def locate(href: str | os.PathLike[str]) -> ObjectLocation:
    """Find the location of an object; only the local disk is accessed.

    Parameters
    ----------
    href
        A path, ``file://``, ``s3://bucket/key``, an ``https://`` address on the datalake (a bucket and a key) or on any
        other web server.

    Returns
    -------
    Place
        The local file where there is one (also in the mirror), else the remote object.

    Raises
    ------
    GeodesError
        If a path does not exist, or objects with the scheme of the address cannot be read in place.
    """
    text = os.fspath(href)
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  (it is read here for the first time)
    except ValueError as error:
        raise GeodesError(
            f"{text!r} is not an address ({error}): give a path, or an s3:// or https:// address."
        ) from None
    if url.scheme == ELSEWHERE:
        raise GeodesError(
            f"file:{text.partition(':')[2]} is a file on the machine of its catalogue, not on this machine. If both "
            "machines have the same files, set files: true in the catalogue's profile, or give the path itself."
        )
    if url.scheme == "file" and "://" in text:
        return _file(text, _named(text))
    if "://" not in text:  # a file's name may have a colon
        return _file(text, unquote(url.path) if text.startswith("file:/") else text)
    if url.scheme == "s3":
        if url.query or url.fragment:
            raise GeodesError(
                f"{text} has more than a bucket and a key: give the address without the part from ? or # on."
            )
        return _object(text, url.netloc, url.path.removeprefix("/"))
    if url.scheme in ("http", "https"):
        if url.hostname in settings.get("datalake.hosts"):
            bucket, _, key = unquote(url.path).removeprefix("/").partition("/")
            return _object(text.partition("?")[0], bucket, key)
        # The query of a signed address is its key: the server gets it, and it is not shown.
        query = f"?{url.query}" if url.query else ""
        shown = text.partition("?")[0]
        return ObjectLocation(shown, "http", f"{url.scheme}://{url.netloc}", unquote(url.path).lstrip("/"), query)
    raise GeodesError(f"{text} cannot be read in place: give a path, or an s3:// or https:// address.")


def place_of(path: str) -> ObjectLocation:
    """Return the location of an object from the path that GDAL opens it by: the inverse of `ObjectLocation.gdal`.

    Raises
    ------
    GeodesError
        If the path names no object.
    """
    if path.startswith("/vsis3/"):
        bucket, _, key = path.removeprefix("/vsis3/").partition("/")
        return ObjectLocation(path, "s3", bucket, _checked(path, bucket, key))
    if path.startswith("/vsicurl/"):
        rest, mark, query = path.removeprefix("/vsicurl/").partition("?")
        scheme, _, after = rest.partition("://")
        host, _, tail = after.partition("/")
        if scheme not in ("http", "https") or not host:
            raise GeodesError(f"{path} is not the address of a web server: check it.")
        return ObjectLocation(path.partition("?")[0], "http", f"{scheme}://{host}", unquote(tail), mark + query)
    return ObjectLocation(path, "file", "/", path.lstrip("/"))


def object_of(path: str) -> ObjectLocation:
    """Return the location of a file, or of the archive that holds it, from the path that GDAL opens it by."""
    return place_of(path.removeprefix("/vsizip/{").partition("}/")[0] if path.startswith("/vsizip/") else path)


def _named(text: str) -> str:
    """Return the path of a ``file://`` address on this machine."""
    url = urlsplit(text)
    if url.netloc not in ("", "localhost") or url.query or url.fragment:
        raise GeodesError(
            f"{text} is not a file on this machine: write file:///path, or only the path, without a host, ? or #."
        )
    return unquote(url.path)


def _file(text: str, name: str) -> ObjectLocation:
    try:
        path = Path(name).expanduser().absolute()
        there = path.exists()
    # too long a name, no access to the folder, a NUL, an unknown home
    except (OSError, ValueError, RuntimeError) as error:
        raise GeodesError(
            f"{text!r} cannot be accessed ({getattr(error, 'strerror', error)}): check the path."
        ) from None
    if not there:
        raise GeodesError(f"{text} does not exist: check the path.")
    return ObjectLocation(text, "file", "/", str(path).lstrip("/"))


def _object(href: str, bucket: str, key: str) -> ObjectLocation:
    """Return the location of an object of the datalake: in the mirror if it is there, else on S3."""
    _checked(href, bucket, key)
    mirror = settings.get("datalake.mirror")
    if mirror:
        root = Path(mirror).expanduser().absolute()
        path = root.joinpath(bucket, *key.removesuffix("/").split("/"))
        try:
            real = path.resolve(strict=True)
        except (
            OSError,
            RuntimeError,
        ):  # the file does not exist or is not accessible, its name is too long, or a link leads to itself
            return ObjectLocation(href, "s3", bucket, key)
        if not real.is_relative_to(root.resolve()):
            raise GeodesError(
                f"{href} is a link that leads out of the mirror, {root}. It is refused; the operator can mount the "
                "target in the mirror."
            )
        return ObjectLocation(href, "file", "/", str(path).lstrip("/"))
    return ObjectLocation(href, "s3", bucket, key)


def _checked(href: str, bucket: str, key: str) -> str:
    """Return the key, if S3 allows the bucket and the key, and the key could be a path in the bucket's folder.

    Raises
    ------
    GeodesError
        If the bucket or the key is not allowed.
    """
    if not _BUCKET.fullmatch(bucket):
        raise GeodesError(
            f"{href} has no valid bucket: {bucket!r} must have 3 to 63 small letters, digits, dots or hyphens; check "
            "the address."
        )
    # A slash at the end means a folder, such as a Zarr store.
    if any(part in ("", ".", "..") for part in key.removesuffix("/").split("/")):
        raise GeodesError(
            f"{href} is not an object of the bucket {bucket}: its key has an empty part, '.' or '..'; check the "
            "address."
        )
    if _NO_KEY.search(key) or len(key.encode(errors="replace")) > _LONGEST:
        raise GeodesError(
            f"{href!r} is not an object of the bucket {bucket}: its key is too long, or has characters that are "
            "not possible in a key."
        )
    return key
