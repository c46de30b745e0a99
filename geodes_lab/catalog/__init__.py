"""What exists? A search returns Items that follow STAC.

Only `remote.geodes` and `remote.normalize` know GEODES's dialect.
"""

from geodes_lab.catalog.lookup import collections, search
from geodes_lab.catalog.readiness import availability
from geodes_lab.catalog.remote.normalize import truthful
from geodes_lab.util.pystac_safe import display as pystac_html

pystac_html.guard()

__all__ = ["availability", "collections", "search", "truthful"]
