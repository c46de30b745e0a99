"""Small pictures, if the person may read them.

A service that reads for a person must not bypass the rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pystac

from geodes_lab.catalog import quicklook
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import refusing
from geodes_lab.policy.places import bucket_and_key
from geodes_lab.storage.location import locate
from hub.services.person import Person

_TIMEOUT = httpx.Timeout(20.0)


class NotForYou(GeodesError):
    """A place that the person may not read."""


@dataclass(frozen=True)
class Quicklooks:
    """Where they are read, and by which rules."""

    lab: Lab = field(default_factory=Lab)
    """The operator's file."""
    gate: str = ""
    """The address of the datalake's gate; without one the service reads the datalake itself."""

    def of(self, item: pystac.Item, person: Person, token: str) -> tuple[bytes, str] | None:
        """Read the picture of an Item.

        Parameters
        ----------
        item
            From the catalogue, so that anybody may have written it.
        person, token
            The person; the gate gets the person's own token.

        Returns
        -------
        tuple or None
            The picture, encoded again, and its media type; None: it has none, or none on a host that the operator
            allows.

        Raises
        ------
        NotForYou
            If the person may not read its place.
        GeodesError
            If it cannot be read, or is not a picture.
        """

        def from_datalake(href: str, most: int) -> bytes:
            try:
                bucket, key = bucket_and_key(urlsplit(href).path)
            except ValueError as error:
                raise GeodesError(f"The quicklook of {item.id} has no address on the datalake: {error}") from None
            if name := refusing(person.groups, f"{bucket}/{key}", self.lab):
                raise NotForYou(
                    f"The quicklook of {item.id} belongs to {name}, and you have no access to that collection."
                )
            if self.gate:
                return _through(self.gate, bucket, key, token, most, item.id)
            place = locate(f"s3://{bucket}/{key}")
            return place.read(0, most)

        return quicklook.read(item, from_datalake)


def _through(gate: str, bucket: str, key: str, token: str, most: int, name: str) -> bytes:
    """Read an object through the gate, with a person's token."""
    url = httpx.URL(gate).copy_with(path=f"/{bucket}/{key}")
    head = {"x-amz-security-token": token, "Range": f"bytes=0-{most - 1}"}
    try:
        answer = httpx.get(url, headers=head, timeout=_TIMEOUT, trust_env=False)
    except httpx.HTTPError as error:
        raise GeodesError(f"The quicklook of {name} cannot be read: the datalake does not answer.") from error
    if answer.status_code == 403:
        raise NotForYou(f"The quicklook of {name} is in a place that you have no access to.")
    if answer.is_error:
        raise GeodesError(f"The quicklook of {name} cannot be read (HTTP {answer.status_code}).")
    return answer.content[:most]
