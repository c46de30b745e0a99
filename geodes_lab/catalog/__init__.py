"""Catalogues: a search gives Items that tell the truth. `geodes` and `truth` alone know the dialect of GEODES."""

from geodes_lab import display
from geodes_lab.catalog.lookup import collections, search
from geodes_lab.catalog.storage import availability
from geodes_lab.catalog.truth import truthful

display.guard()

__all__ = ["availability", "collections", "search", "truthful"]
