"""How a person's unix account is called."""

from __future__ import annotations

import hashlib
import re

_SIMPLE = re.compile(r"[a-z0-9][a-z0-9_-]{0,23}")
_SUM = re.compile(r"[0-9a-f]{16}")  # nobody takes another's place by being called as the sum of that name


def account(name: str, prefix: str) -> str:
    """How a person's account is called: with a prefix, so that nobody becomes an account of the system.

    Names that an account cannot have are replaced by a sum of them, which no other name has.
    """
    if _SIMPLE.fullmatch(name) and not _SUM.fullmatch(name):
        return f"{prefix}{name}"
    return f"{prefix}{hashlib.sha256(name.encode()).hexdigest()[:16]}"
