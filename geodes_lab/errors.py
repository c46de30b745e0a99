"""The error that people see: bad input, said in a sentence that names the thing and what to do.

And two that readers tell each other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

# What a terminal obeys or a reader cannot see: control characters, marks that turn the direction of text, and what is
# no character.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")


class GeodesError(Exception):
    """Something in the input or the setting is wrong; the message is one sentence for the person who reads it.

    The lab's kernel shows the sentence alone. The cause, where there is one, is chained for developers. What a sentence
    quotes may come from anybody: it is one line that no terminal obeys; see `shown`.
    """

    def __str__(self) -> str:
        return shown(super().__str__())


class NotUnderstood(Exception):
    """The file is no image that is read by tiles here; GDAL may read it."""


class Mislabelled(NotUnderstood):
    """The file is an image of another format than its name says."""


def shown(text: str) -> str:
    """Text of unknown origin as a terminal, a log or a notebook may have it.

    Returns
    -------
    str
        In one line; characters that steer a terminal, turn the direction of what follows or are not seen are written
        out, as in JSON.
    """
    return _UNSEEN.sub(lambda found: " " if found[0] in "\t\n\r" else f"\\u{ord(found[0]):04x}", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant: ``"; did you mean 'red'?"``, or nothing when no known word is near."""
    known_lower = {k.lower(): k for k in known}
    # A result's collection has its owner before its name: ada.ndvi.
    match = [k for k in known_lower if k.endswith(f".{word.lower()}")][:1]
    match = match or difflib.get_close_matches(word.lower(), known_lower, n=1, cutoff=0.6)
    return f"; did you mean {known_lower[match[0]]!r}?" if match else ""
