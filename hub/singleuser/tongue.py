"""The language of who asks a person's server: French where a browser prefers it, else English."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Literal

Tongue = Literal["en", "fr"]
_now: ContextVar[Tongue] = ContextVar("tongue", default="en")


def of(headers: Mapping[str, str]) -> Tongue:
    """Return the language that the headers of a request prefer."""
    return "fr" if headers.get("Accept-Language", "").strip().lower().startswith("fr") else "en"


def heard(headers: Mapping[str, str]) -> None:
    """Remember the language of a request while it is answered, for sentences that are made far from it."""
    _now.set(of(headers))


def now() -> Tongue:
    """Return the language of the request that is being answered; English where there is none."""
    return _now.get()
