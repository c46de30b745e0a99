"""Keys and tokens: fetched where they are used, renewed before they expire, never shown.

There are three *kinds*: ``s3``, the keys of the datalake; ``api_key``, the key of GEODES's portal; ``token``, the
user's token of the hub. The settings (``geodes_lab.credentials``) say where each comes from, and never hold the key
itself.
"""

from geodes_lab.credentials.renewal import at_hand, current, is_lent, known, lend_by, refused, standing
from geodes_lab.credentials.secret import KINDS, Kind, Secret

__all__ = ["KINDS", "Kind", "Secret", "at_hand", "current", "is_lent", "known", "lend_by", "refused", "standing"]
