"""Whether the operator's quotas let this person start a cluster.

The lab's accounts of use are asked, where there are any.
"""

from __future__ import annotations

import os

import httpx

from geodes_lab.credentials import tls
from geodes_lab.errors import GeodesError

_SECONDS = 3.0


def refuse() -> None:
    """Ask the accounts (``GEODES_LAB_USAGE``) by the server's own token.

    Where they do not answer nobody is kept from work.

    Raises
    ------
    GeodesError
        If the person has used up what they may.
    """
    address, token = os.environ.get("GEODES_LAB_USAGE"), os.environ.get("JUPYTERHUB_API_TOKEN")
    if not address or not token:
        return
    try:
        answer = httpx.get(
            f"{address}/api/limits",
            headers={"Authorization": f"token {token}"},
            timeout=_SECONDS,
            verify=tls.context(),
        )
        answered = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return
    if not answered.get("allowed", True):
        raise GeodesError(
            f"No new cluster can start: {answered.get('reason', 'your quota is used up')} Running clusters continue."
        )
