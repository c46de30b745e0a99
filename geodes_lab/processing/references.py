"""Files that an input of a process names beside its products: terrain models, orbits, a model's field, a buoy.

A job is stored and computed later, perhaps elsewhere. A name must then still mean the same file, and must be nothing
else than a name: its whole path, or a plain address.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pystac
from pydantic import Field

from geodes_lab.errors import GeodesError

MOST = 1000
"""Files of one input."""
_LONGEST = 2000  # characters of a name
_SCHEMES = ("https", "http", "s3", "file")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class _Named:
    """Marks an input whose values name files."""


NAMED = _Named()
Files = Annotated[
    str | dict[str, Any] | Annotated[list[str | dict[str, Any]], Field(min_length=1, max_length=MOST)], NAMED
]
"""One file or several: a path, an address (https, s3), or a STAC Item."""


def given(name: str, value: Any) -> Any:
    """Return what a person gives for an input of files in the form in which it is stored.

    A path becomes a whole one: a runner works in another folder. Items become dictionaries.

    Raises
    ------
    GeodesError
        If there is no such file here.
    """
    if isinstance(value, (str, os.PathLike)):
        return _whole(name, os.fspath(value))
    if isinstance(value, pystac.Item):
        return value.to_dict(include_self_link=True, transform_hrefs=False)
    if isinstance(value, pystac.ItemCollection):
        value = value.items
    if isinstance(value, dict) and value.get("type") == "FeatureCollection":
        value = value.get("features")
    return [given(name, v) for v in value] if isinstance(value, Sequence) else value


def _whole(name: str, text: str) -> str:
    if not is_local(text) or not text:
        return text
    checked(name, text)
    path = Path(text).expanduser()
    try:
        there = path.exists()
    except OSError as error:
        raise GeodesError(f"{name}={text!r} cannot be accessed ({error.strerror}): check the path.") from None
    if not there:
        raise GeodesError(f"{name}={text!r} does not exist: check the path.")
    return os.path.abspath(path)  # noqa: PTH100  (a link stays the name that it has)


def checked(name: str, value: Any) -> None:
    """Check the names in a value that has the type of `Files`; no file is looked for.

    Raises
    ------
    GeodesError
        One sentence: what is no plain name of a file, and what to write instead. It does not repeat a password.
    """
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            _check_item(name, one)
        elif isinstance(one, str):
            _check_name(name, one)


def _check_item(name: str, item: dict[str, Any]) -> None:
    if item.get("type") != "Feature" or not isinstance(item.get("assets"), dict) or not item["assets"]:
        raise GeodesError(
            f"{name}= has an object that is no STAC Item with assets: give an Item, a path or an address."
        )


def _check_name(name: str, text: str) -> None:
    plain = "a path, or an s3:// or https:// address"
    if not text.strip() or len(text) > _LONGEST or _CONTROL.search(text):
        raise GeodesError(f"{name}= must be {plain} of 1 to {_LONGEST} characters, without control characters.")
    if text.startswith("/vsi"):
        raise GeodesError(f"{name}= is a path of GDAL's virtual files, which a job does not take: give {plain}.")
    if is_local(text):
        if ".." in Path(text.removeprefix("file://")).parts:
            raise GeodesError(f"{name}={text[:200]!r} has '..' in it: write the whole path.")
        return
    try:
        url = urlsplit(text)
        has_user, host = url.username is not None or url.password is not None, url.hostname
    except ValueError:
        raise GeodesError(f"{name}= is not an address that can be read: give {plain}.") from None
    if url.scheme not in _SCHEMES or not host:
        raise GeodesError(f"{name}= is an address of the kind {url.scheme[:20]!r}, which is not read: give {plain}.")
    if has_user:
        raise GeodesError(f"{name}= has a user or a password at {host}: leave them out; keys are found by the host.")
    if url.query or url.fragment:
        raise GeodesError(
            f"{name}= has more than a plain address at {host}: leave out the part from ? or # on, which would be "
            "stored and published with the results."
        )


def is_local(text: str) -> bool:
    """Whether a name is one of a file on this machine."""
    return "://" not in text or text.startswith("file://")


def opened(value: Any) -> Any:
    """Return a checked value in the form in which products are opened: short paths are below the home folder."""
    if isinstance(value, list):
        return [opened(v) for v in value]
    if isinstance(value, str) and is_local(value) and not value.startswith(("/", "~", "file://")):
        return str(Path.home() / value)
    return value


def stamps(value: Any, reads: bool) -> list[str]:
    """Return what tells the files of a value from later ones of the same names, for the key of a result.

    Parameters
    ----------
    value
        A checked value.
    reads
        Whether files may be looked at. What cannot be looked at is never taken to be the same.
    """
    return [
        _stamp(v, reads) for v in (value if isinstance(value, list) else [value]) if isinstance(v, str) and is_local(v)
    ]


def _stamp(text: str, reads: bool) -> str:
    path = Path(opened(text.removeprefix("file://"))).expanduser()
    try:
        if reads and path.is_file():
            known = path.stat()
            return f"{known.st_size} {known.st_mtime_ns}"
    except OSError:
        pass
    return uuid4().hex
