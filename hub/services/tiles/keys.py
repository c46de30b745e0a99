"""Keys for the addresses of tiles, which open nothing else; `hub.services.keys` makes and reads them."""

from __future__ import annotations

import re

from hub.services.keys import HOURS, MOST_HOURS, Key, Keys

__all__ = ["HOURS", "MOST_HOURS", "STAND_IN", "Key", "Keys", "carried"]
STAND_IN = "KEY-OF-THE-ADDRESS"
"""In links of the tiler, as a key: in place of the key and of the search."""
_TEMPLATE = re.compile(rb'template="([^"]*)"')


def carried(content: bytes, parameters: str, base: str, *, is_markup: bool = True) -> bytes:
    """Return an answer whose links have what the tiler does not know: the key, and the search of a mosaic.

    Parameters
    ----------
    content
        Of the tiler, whose links have `STAND_IN`. The templates of WMTS for each way to draw a product have nothing.
    parameters
        The end of a query, encoded, such as ``datetime=2021-06&key=…``.
    base
        How our own addresses begin; others get nothing.
    is_markup
        Whether the answer is XML or HTML, where ``&`` is written in another way.
    """
    text = parameters.replace("&", "&amp;" if is_markup else "&").encode()

    def with_parameters(match: re.Match[bytes]) -> bytes:
        address = match[1]
        if not address.startswith(base.encode()) or text in address:
            return match[0]
        return b'template="%s%s%s"' % (address, b"&amp;" if b"?" in address else b"?", text)

    return _TEMPLATE.sub(with_parameters, content.replace(f"key={STAND_IN}".encode(), text))
