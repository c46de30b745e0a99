"""Keys and tokens that live as long as the job: fetched where they are used, renewed before they expire, never shown.

There are three *kinds*: ``s3``, the keys of the datalake; ``api_key``, the key of GEODES's portal; ``token``, what the
hub knows a person by. Where each comes from is a setting (``geodes_lab.credentials``); what it is, is none.
"""

from geodes_lab.credentials.renewal import at_hand, current, is_lent, known, lend_by, refused, standing
from geodes_lab.credentials.secret import KINDS, Kind, Secret

__all__ = ["KINDS", "Kind", "Secret", "at_hand", "current", "is_lent", "known", "lend_by", "refused", "standing"]
