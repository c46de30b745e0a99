"""Which names, that came from elsewhere, a file may have."""

from __future__ import annotations

import re

_NAME = re.compile(r"[^\W_][\w.+:=@~ -]{0,199}")


def is_safe(name: str) -> bool:
    """Whether a name is that of one file, in any folder: no path, no hidden file, no odd characters."""
    return bool(_NAME.fullmatch(name)) and not name.endswith((" ", ".")) and len(name.encode()) <= 200
