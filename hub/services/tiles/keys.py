"""Keys for the addresses of tiles, which open nothing else; `hub.services.keys` makes and reads them."""

from __future__ import annotations

import re
from urllib.parse import quote

from hub.services.keys import HOURS, MOST_HOURS, Key, Keys

__all__ = ["HOURS", "MOST_HOURS", "STAND_IN", "Key", "Keys", "carried"]
STAND_IN = "KEY-OF-THE-ADDRESS"
"""In links of the tiler, in place of the key."""
_TEMPLATE = re.compile(rb'template="([^"]*)"')


def carried(content: bytes, key: str, base: str) -> bytes:
    """Return an answer whose links have the key with which it was asked.

    Parameters
    ----------
    content
        Of the tiler, which does not know the key: its links have `STAND_IN`. The templates of WMTS for each way to draw
        a product have nothing.
    key
        The key.
    base
        How our own addresses begin; others get no key.
    """
    text = quote(key, safe="").encode()

    def with_key(match: re.Match[bytes]) -> bytes:
        address = match[1]
        if not address.startswith(base.encode()) or b"key=" in address:
            return match[0]
        return b'template="%s%skey=%s"' % (address, b"&amp;" if b"?" in address else b"?", text)

    return _TEMPLATE.sub(with_key, content.replace(STAND_IN.encode(), text))
