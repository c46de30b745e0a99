"""``gl.quota``: what is left of the service's quota."""

from __future__ import annotations

from geodes_lab.catalog import profile
from geodes_lab.errors import GeodesError
from geodes_lab.storage.whole_object import quota as storage_quota
from geodes_lab.storage.whole_object.quota import Quota


def quota() -> Quota:
    """Ask how many products GEODES still gives you in this hour; one request.

    Returns
    -------
    Quota
        ``left`` of ``most`` downloads, at ``portal``. Only whole products that come from the portal count; what is read
        or downloaded from the datalake or the mirror does not.

    Raises
    ------
    GeodesError
        If there is no key, or the portal does not answer, or not as expected.

    Examples
    --------
    >>> gl.quota()                                                       # doctest: +SKIP
    97 of 100 downloads of this hour are left at https://geodes-portal.cnes.fr.
    """
    portal = profile.load("geodes").portal
    if not portal:
        raise GeodesError("The profile geodes names no portal: set geodes_lab.catalog.profiles.geodes.portal.")
    return storage_quota.ask(portal)
