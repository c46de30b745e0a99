"""The claims of a token that an operator holds in the hand, for the doctor: read, never believed."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

from geodes_lab.errors import GeodesError


def claims(given: str) -> tuple[dict[str, Any], list[str]]:
    """Read claims, and say what is to be known of where they are from.

    Parameters
    ----------
    given
        A token (JWT), or the file of one, or a file of claims as JSON; ``-`` is not read here.

    Raises
    ------
    GeodesError
        If it is none of these. The sentence does not repeat what was given, since it may be a secret.
    """
    text = given.strip()
    if len(text) < 1024 and not text.startswith("{"):
        try:
            text = Path(text).read_text().strip()
        except OSError as error:
            if text.count(".") != 2:
                raise GeodesError(
                    f"The value is neither a token nor a file that can be read ({error.strerror})."
                ) from None
    if text.startswith("{"):
        return _json(text, "The file"), []
    parts = text.removeprefix("Bearer ").split(".")
    if len(parts) != 3:
        raise GeodesError(
            "The value is not a token: a JWT has three parts with dots between them. Give a token, or a file with "
            "claims as JSON."
        )
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)).decode()
    except ValueError:
        raise GeodesError("The second part of the token is not base64: the token is incomplete or encrypted.") from None
    found = _json(body, "The token")
    notes = ["The signature was not verified: the result shows the rules for such a token, not that it is genuine."]
    expires = found.get("exp")
    if isinstance(expires, (int, float)) and expires < time.time():
        notes.append(f"The token expired {time.time() - expires:.0f} s ago: the hub would request a new one.")
    return found, notes


def _json(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GeodesError(f"{what} contains no claims: it must be a JSON object.")
    return found
