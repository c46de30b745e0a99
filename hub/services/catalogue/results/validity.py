"""Checks of the users' documents against STAC, and against the needs of the lab's searches, before they are written."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import pystac
from fastapi import HTTPException
from pydantic import ValidationError
from stac_pydantic import Collection, Item

from geodes_lab.catalog.harvested import geoparquet
from geodes_lab.catalog.harvested.columns import KINDS, RESERVED, TIMES, family, fits, kind
from geodes_lab.catalog.remote.normalize import truthful
from hub.services.catalogue import places
from hub.services.catalogue.access import READERS

SIZE = 64 * 2**10
"""Bytes of a document without its geometry."""
_DEPTH, _TEXT, _NAMED, _LISTED, _WHOLE = 24, 20_000, 200, 200, 2**53
_ID = re.compile(r"[^/\\?#%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,200}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_VERSION = re.compile(r"1\.[01]\.\d{1,3}")
_SCHEMES = frozenset({"", "http", "https", "s3", "gs", "az", "abfs", "ftp", "file"})
_PICTURE = re.compile(r"data:image/(?:jpeg|png);base64,[A-Za-z0-9+/]{1,19000}={0,2}")
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def item(record: dict[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """Return an Item in the form that is written: times are in UTC.

    Parameters
    ----------
    record
        The Item as received, or the result of a patch.
    known
        The properties of the collection's other Items, with their kinds.

    Raises
    ------
    HTTPException
        400, with a sentence that names what is wrong.
    """
    name = _identified(record, "Feature")
    geometry = record.get("geometry")
    _plain({k: v for k, v in record.items() if k != "geometry"}, name)
    _place(geometry, record.get("bbox"), name)
    properties = record.get("properties")
    if not isinstance(properties, dict) or len(properties) > _NAMED:
        raise _wrong(f"{name} has no properties, or more than {_NAMED}.")
    _names(properties, known, name)
    _hrefs(record, name)
    _model(Item, record, name)
    converted = {**record, "properties": _times(properties, name)}
    # It is read back: an Item that other people's searches cannot read is not written.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            truthful(pystac.Item.from_dict(copy.deepcopy(converted)))
            (again,) = geoparquet.records(geoparquet.table([converted]))
            pystac.Item.from_dict(again, migrate=False)
    except Exception as error:  # of many kinds
        raise _wrong(f"{name} is an Item that could not be read again ({_line(error)}).") from error
    return converted


def collection(document: dict[str, Any]) -> dict[str, Any]:
    """Return a collection in the form that is written.

    Raises
    ------
    HTTPException
        400, with a sentence that names what is wrong.
    """
    name = _identified(document, "Collection")
    _plain(document, name)
    readers = document.get(READERS, [])
    if not isinstance(readers, list) or len(readers) > _LISTED or not all(isinstance(r, str) for r in readers):
        raise _wrong(f"{READERS} of {name} must be a list of names of groups, not {str(readers)[:50]!r}.")
    _hrefs(document, name)
    _model(Collection, document, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pystac.Collection.from_dict(copy.deepcopy(document))
    except Exception as error:
        raise _wrong(f"{name} is a collection that could not be read again ({_line(error)}).") from error
    return document


def _identified(document: Any, wanted: str) -> str:
    if not isinstance(document, dict) or document.get("type") != wanted:
        raise _wrong(f'The body must have "type": "{wanted}".')
    name, version = document.get("id"), document.get("stac_version")
    if not isinstance(name, str) or not _ID.fullmatch(name) or name.strip(". ") == "":
        raise _wrong(f"An id must be a text of at most 200 characters without / \\ ? # and %, not {str(name)[:50]!r}.")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise _wrong(f"{name} has the stac_version {str(version)[:20]!r}: write 1.1.0.")
    return name


def _plain(document: dict[str, Any], name: str) -> None:
    """Check that nothing in it is too large or too deep, or a number or text that cannot be represented."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEPTH:
            raise _wrong(f"{name} has more than {_DEPTH} lists and objects inside each other, which is the limit.")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str) or not key or len(key) > 200 or _CONTROL.search(key):
                    raise _wrong(f"{name} has a key that is not a valid name: {str(key)[:50]!r}.")
            waiting += [(v, depth + 1) for v in value.values()]
        elif isinstance(value, list):
            waiting += [(v, depth + 1) for v in value]
        elif isinstance(value, str) and (len(value) > _TEXT or _CONTROL.search(value)):
            raise _wrong(
                f"{name} has a text of more than {_TEXT:,} characters, or with characters that cannot be shown."
            )
        elif isinstance(value, (int, float)) and not -_WHOLE <= value <= _WHOLE and not _is_fraction(value):
            raise _wrong(f"{name} has a number that JSON cannot hold: {str(value)[:30]}.")
    if (size := len(orjson.dumps(document))) > SIZE:
        raise _wrong(f"{name} has {size:,} bytes without its geometry; the limit is {SIZE:,}.")


def _is_fraction(value: float) -> bool:
    return isinstance(value, float) and -1e300 < value < 1e300


def _place(geometry: Any, bbox: Any, name: str) -> None:
    for look, value in ((places.box, bbox), (places.geometry, geometry)):
        try:
            if value is not None:
                look(value)
        except ValueError as error:
            raise _wrong(f"{name}: {error}") from error


def _names(properties: Mapping[str, Any], known: Mapping[str, str], name: str) -> None:
    folded = {k.casefold(): k for k in known}
    for key, value in properties.items():
        if key.casefold() in RESERVED:
            raise _wrong(f"{name} has a property {key!r}, a name that is reserved in a catalogue: rename it.")
        if not fits(key):
            raise _wrong(
                f"{name} has a property {key[:60]!r}: a name must begin with a letter, and have only letters, digits "
                "and _ : . -, at most 100."
            )
        if folded.setdefault(key.casefold(), key) != key:
            raise _wrong(
                f"{name} has a property {key!r}, but the collection has {folded[key.casefold()]!r}: use the same "
                "spelling."
            )
        wanted, actual = KINDS.get(key), kind(value)
        if wanted and actual and actual != ("string" if wanted == "date" else family(wanted)):
            raise _wrong(f"{key} of {name} must have the type {wanted}, as in all collections, not {actual}.")
        if wanted == "array" and not all(isinstance(v, str) for v in value or ()):
            raise _wrong(f"{key} of {name} must be a list of texts.")


def _times(properties: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the properties with times in UTC, in the one form that sorts correctly."""
    converted = dict(properties)
    read: dict[str, datetime] = {}
    for key in TIMES:
        if properties.get(key) is None:
            continue
        try:
            moment = datetime.fromisoformat(properties[key])
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            raise _wrong(
                f"{key} of {name} must be a time such as 2021-06-05T10:50:31Z, not {properties[key][:50]!r}."
            ) from None
        if not _FIRST <= moment < _LAST:
            raise _wrong(f"{key} of {name} must be between 1900 and 2200, not {properties[key][:50]}.")
        read[key] = moment
        converted[key] = moment.replace(tzinfo=None).isoformat() + "Z"
    begin, end = read.get("start_datetime"), read.get("end_datetime")
    if "datetime" not in read and (begin is None or end is None):
        raise _wrong(f"{name} has no datetime: give it, or start_datetime and end_datetime.")
    if begin and end and begin > end:
        raise _wrong(f"{name} ends before it begins.")
    return converted


def _hrefs(document: Mapping[str, Any], name: str) -> None:
    """Check that addresses have a permitted scheme; none may be a program."""
    assets, links = document.get("assets") or {}, document.get("links") or []
    if not isinstance(assets, dict) or not isinstance(links, list) or max(len(assets), len(links)) > _LISTED:
        raise _wrong(f"{name} must have its assets in an object and its links in a list, at most {_LISTED} of each.")
    extensions = document.get("stac_extensions") or []
    if not isinstance(extensions, list) or len(extensions) > _LISTED:
        raise _wrong(f"The stac_extensions of {name} must be a list of at most {_LISTED} addresses.")
    if not all(isinstance(e, str) and re.match(r"https?://", e) for e in extensions):
        raise _wrong(f"The stac_extensions of {name} are addresses that begin with https:.")
    # The picture of an asset may be in its address; it is never shown as it came.
    pictures = [a.get("href") for a in assets.values() if isinstance(a, Mapping)]
    within = {h for h in pictures if isinstance(h, str) and _PICTURE.fullmatch(h)}
    for href in _addresses(document):
        if isinstance(href, str) and href in within:
            continue
        try:
            scheme = urlsplit(href).scheme.lower() if isinstance(href, str) and href == href.strip() else "?"
        except ValueError:
            scheme = "?"
        if scheme not in _SCHEMES or (
            isinstance(href, str) and re.search(r"[\x00-\x20\x7f-\x9f]*script:", href[:40], re.I)
        ):
            raise _wrong(
                f"{name} has the address {str(href)[:60]!r}: an address must be a path, or begin with https:, s3: "
                "or file:."
            )


def _addresses(document: Mapping[str, Any]) -> Iterator[Any]:
    """Yield every ``href`` and ``url`` in a document."""
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            for key, inner in value.items():
                if key in ("href", "url"):
                    yield inner
                elif key != "geometry":
                    waiting.append(inner)
        elif isinstance(value, list):
            waiting += value


def _model(model: type[Item] | type[Collection], document: dict[str, Any], name: str) -> None:
    """Check a document with stac-pydantic's models."""
    try:
        model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))[:100]
        raise _wrong(f"{name} is not a valid STAC {model.__name__}: {place}: {first['msg'][:200]}.") from error


def _wrong(sentence: str) -> HTTPException:
    return HTTPException(400, sentence)


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:150]
