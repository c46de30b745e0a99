"""The one error class: bad input, said in a sentence that names the thing and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GeodesError(Exception):
    """Something in the input or the setting is wrong; the message is one sentence for the person who reads it.

    The lab's kernel shows the sentence alone. The cause, where there is one, is chained for developers.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant: ``"; did you mean 'red'?"``, or nothing when no known word is near."""
    known_lower = {k.lower(): k for k in known}
    # A result's collection has its owner before its name: ada.ndvi.
    match = [k for k in known_lower if k.endswith(f".{word.lower()}")][:1]
    match = match or difflib.get_close_matches(word.lower(), known_lower, n=1, cutoff=0.6)
    return f"; did you mean {known_lower[match[0]]!r}?" if match else ""
