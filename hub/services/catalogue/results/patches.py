"""A document changed by a patch: its size is limited while the patch is applied, because a copy can double it."""

from __future__ import annotations

import copy
from typing import Any

import orjson
from fastapi import HTTPException
from jsonpatch import JsonPatch, JsonPatchException
from jsonpointer import JsonPointerException

from hub.services.bounds import TooMuch, check_depth

SIZE = 2**20
"""Bytes of the result of a patch."""
OPERATIONS = 200
_DEPTH = 48


def patched(document: dict[str, Any], patch: Any, body: bytes) -> dict[str, Any]:
    """Return the patched document.

    Parameters
    ----------
    document
        The document, which is not changed.
    patch
        A list of operations (RFC 6902); anything else is a merge patch.
    body
        The received bytes: stac-fastapi's model drops unknown fields of a merge patch (RFC 7396).

    Raises
    ------
    HTTPException
        409, if it does not fit; 413, if the result is too large.
    """
    if isinstance(patch, list):
        return _operated(copy.deepcopy(document), [_operation(p) for p in patch])
    merge = orjson.loads(body)
    if not isinstance(merge, dict):
        raise HTTPException(400, "A patch must be an object, or a list of operations.")
    result = _merged(document, merge)
    if not isinstance(result, dict):
        raise HTTPException(400, "A patch must be an object, or a list of operations.")
    return result


def _operated(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    if len(operations) > OPERATIONS:
        raise HTTPException(413, f"The patch has {len(operations):,} operations; the limit is {OPERATIONS}.")
    result: Any = document
    for operation in operations:
        try:
            result = JsonPatch([operation]).apply(result, in_place=True)
            text = orjson.dumps(result)
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
                    413, "The result of the patch has too many lists and objects inside each other."
                ) from error
            raise HTTPException(409, f"The patch cannot be applied: {str(error)[:200]}.") from error
        # It has at most doubled by now.
        if len(text) > SIZE:
            raise HTTPException(413, f"The result of the patch has more than {SIZE:,} bytes, which is the limit.")
    if not isinstance(result, dict):
        raise HTTPException(409, "The patch removes the whole document: use DELETE for that.")
    return result


def _operation(operation: Any) -> dict[str, Any]:
    fields: dict[str, Any] = operation.model_dump(mode="json", by_alias=True, exclude_none=operation.op != "test")
    return fields


def _merged(document: Any, patch: Any) -> Any:
    """Merge as in RFC 7396: null removes."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result
