"""Text that leaves for an assistant: no credential, no control characters, a bounded length."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import dask.config

from geodes_lab import settings
from geodes_lab.credentials import renewal
from geodes_lab.credentials.secret import KINDS
from geodes_lab.errors import shown

HIDDEN = "[hidden]"
_SHORTEST = 8  # a shorter value would be part of ordinary words
_NAMES = re.compile(r"(?i)passw|secret|token|credential|signature|cookie|(^|[_-])(api)?_?key($|[_-])|apikey|accesskey")
_PARAMETER = re.compile(
    r"([?&;][\w.-]*(?:sig|signature|token|key|secret|credential|passw\w*|auth)[\w.-]*=)[^&\s#'\"]+", re.IGNORECASE
)
_PATTERNS = (
    (re.compile(r"(?<=://)[^/\s@?#]+@"), f"{HIDDEN}@"),
    # Parameters of signed addresses.
    (_PARAMETER, rf"\1{HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),  # a JSON Web Token
)  # fmt: skip
_seen: set[str] = set()


def redacted(text: str, most: int | None = None) -> str:
    """Return text in a form that may leave: cleaned line by line, without credentials, at most so long.

    Parameters
    ----------
    text
        Any text, also from a catalogue, a product or an error.
    most
        The largest number of characters; None: that of the settings.
    """
    most = int(settings.get("assistant.characters")) if most is None else most
    text = "\n".join(shown(line) for line in text.split("\n"))
    # The longest first: a value may be a part of another one.
    for value in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    if len(text) > most:
        text = f"{text[:most].rstrip()}\n… cut here, after {most} of {len(text)} characters: ask for less."
    return text


def is_secret(name: str) -> bool:
    """Whether a variable or setting of this name holds a secret."""
    return bool(_NAMES.search(name))


def _secrets() -> set[str]:
    """All values that must not leave.

    Keys that this process has held are remembered: what was renewed may still be valid.
    """
    from_environment = (v for k, v in os.environ.items() if is_secret(k) and not k.startswith("DASK_"))
    in_use = (value for kind in KINDS for value in (renewal.at_hand(kind) or {}).values())
    for value in (*from_environment, *in_use, *_of_settings(dask.config.config)):
        if len(value) >= _SHORTEST:
            _seen.update((value, shown(value), quote(value, safe="")))
    return _seen


def _of_settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Values of settings that hold a secret by their name, in an address, or as a word of a command."""
    for key, several in settings.items():
        if isinstance(several, Mapping):
            yield from _of_settings(several)
            continue
        for value in several if isinstance(several, list) else [several]:
            if not isinstance(value, str):
                continue
            if is_secret(str(key)):
                yield value
            if key == "command":
                words = (word.rpartition("=")[2] for word in value.split()[1:])
                yield from (w for w in words if not w.startswith(("-", "/", "~")))
            if "@" in value and "://" in value:
                yield from _of_address(value)


def _of_address(address: str) -> Iterator[str]:
    try:
        password = urlsplit(address).password
    except ValueError:
        return
    if password:
        yield password
