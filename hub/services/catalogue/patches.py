"""A document changed by a patch: what it becomes is bounded while the patch is applied, since a copy can double it."""

from __future__ import annotations

import copy
from typing import Any

import orjson
from fastapi import HTTPException
from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException

from hub.services.bounds import TooMuch, check_depth

SIZE = 2**20
"""Bytes of what a patch makes."""
OPERATIONS = 200
_DEPTH = 48


def patched(document: dict[str, Any], patch: Any, body: bytes) -> dict[str, Any]:
    """The document as a patch has it.

    Parameters
    ----------
    document
        It is left as it is.
    patch
        A list of operations (RFC 6902); anything else is a merge patch.
    body
        As it came: the model of stac-fastapi leaves out of a merge patch (RFC 7396) what it does not know.

    Raises
    ------
    HTTPException
        409, if it does not fit; 413, if it makes too much.
    """
    if isinstance(patch, list):
        return _operated(copy.deepcopy(document), [_operation(p) for p in patch])
    merge = orjson.loads(body)
    if not isinstance(merge, dict):
        raise HTTPException(400, "A patch is an object, or a list of operations.")
    found = _merged(document, merge)
    if not isinstance(found, dict):
        raise HTTPException(400, "A patch is an object, or a list of operations.")
    return found


def _operated(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    if len(operations) > OPERATIONS:
        raise HTTPException(413, f"A patch may have {OPERATIONS} operations, and this one has {len(operations):,}.")
    found: Any = document
    for operation in operations:
        try:
            found = JsonPatch([operation]).apply(found, in_place=True)
            text = orjson.dumps(found)
            check_depth(text, _DEPTH)
        except (
            JsonPatchException,
            JsonPointerException,
            TypeError,
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
        ) as error:
            if isinstance(error, (TooMuch, orjson.JSONEncodeError)):
                raise HTTPException(
                    413, "The patch puts more lists and objects inside each other than a document may have."
                ) from error
            raise HTTPException(409, f"The patch does not fit: {str(error)[:200]}.") from error
        # At most it has doubled by now.
        if len(text) > SIZE:
            raise HTTPException(413, f"The patch makes a document of more than {SIZE:,} bytes.")
    if not isinstance(found, dict):
        raise HTTPException(409, "The patch leaves no document.")
    return found


def _operation(told: Any) -> dict[str, Any]:
    found: dict[str, Any] = told.model_dump(mode="json", by_alias=True, exclude_none=told.op != "test")
    return found


def _merged(document: Any, patch: Any) -> Any:
    """As RFC 7396 has it: null removes."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found
