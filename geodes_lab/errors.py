"""The error that users see: a wrong input, in one sentence that names the thing and says what to do.

It also has two errors that readers raise for each other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

# What a terminal obeys or a reader cannot see: control characters, marks that change the direction of text, and code
# points that are not characters.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")

_FEW = 5  # sentences of an error about many products


class GeodesError(Exception):
    """Something in the input or the settings is wrong; the message is one sentence for the user.

    The lab's kernel shows the sentence alone. The cause, if there is one, is chained for developers. A sentence may
    quote text from anybody: `shown` makes it one line without control characters.
    """

    def __str__(self) -> str:
        return shown(super().__str__())


class NotUnderstood(Exception):
    """The file is not an image that can be read by tiles; GDAL may be able to read it."""


class Mislabelled(NotUnderstood):
    """The format of the image is not the one that its name says."""


def shown(text: str) -> str:
    """Return text of unknown origin in a form that is safe for a terminal, a log or a notebook.

    Returns
    -------
    str
        The result is one line. Characters that control a terminal, change the direction of text or are invisible are
        escaped, as in JSON.
    """
    return _UNSEEN.sub(lambda match: " " if match[0] in "\t\n\r" else f"\\u{ord(match[0]):04x}", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a suggestion, such as ``"; did you mean 'red'?"``, or an empty text when no known word is similar."""
    known_lower = {k.lower(): k for k in known}
    # The name of a result's collection begins with its owner: ada.ndvi.
    match = [k for k in known_lower if k.endswith(f".{word.lower()}")][:1]
    match = match or difflib.get_close_matches(word.lower(), known_lower, n=1, cutoff=0.6)
    return f"; did you mean {known_lower[match[0]]!r}?" if match else ""


def summed(sentences: Sequence[str], number: int, what: str) -> str:
    """Return one text for the errors of some of several products: the only one's sentence, or the first five.

    Parameters
    ----------
    sentences
        One for each product that failed.
    number
        How many products there were.
    what
        What became of those that failed, such as ``did not arrive``.
    """
    if number == 1:
        return sentences[0]
    more = f" … and {len(sentences) - _FEW} others (see errors)." if len(sentences) > _FEW else ""
    beginning = f"{len(sentences)} of {number} products {what}, the others are there:"
    return f"{beginning} {' '.join(sentences[:_FEW])}{more}"
