"""What identifies a Zarr store in an address; apart, because zarr-python takes half a second to import."""

from __future__ import annotations

import re

NAMED = re.compile(r"\.zarr(?=/|$)", re.IGNORECASE)
"""The end of the store's name."""
