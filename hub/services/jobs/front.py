"""What every answer begins with: who asks, by which address, for which process; and how a refusal is said."""

from __future__ import annotations

from typing import Any

from fastapi import Request

from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.processing import registry
from geodes_lab.processing.process import Process
from geodes_lab.util.database import DatabaseUnusable
from hub.services.jobs import listing
from hub.services.jobs.calls.desk import Desk, NotAllowed
from hub.services.person import Hub, Person, is_from_elsewhere

LOGIN = "Log in, or send your token: Authorization: token …, from the hub's page Token."


class Refused(Exception):
    """A request that is answered with an exception of the standard."""

    def __init__(self, kind: str, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.kind, self.status = kind, status


class Front:
    """The service as a request sees it.

    Parameters
    ----------
    lab
        The operator's file.
    hub
        Identifies people.
    desk
        Says who has which process.
    """

    def __init__(self, lab: Lab, hub: Hub, desk: Desk) -> None:
        self.lab, self.hub, self.desk = lab, hub, desk

    def person(self, request: Request, changes: bool = False) -> Person:
        """Return who asks; ``changes`` says whether the request changes something."""
        person = self.hub.person(request)
        if not person.name:
            raise Refused("not-authenticated", 401, LOGIN)
        if changes and is_from_elsewhere(request, person):
            raise Refused("not-allowed", 403, "A page of another site cannot begin or change jobs.")
        return person

    def known(self, person: Person, process: str) -> Process:
        """Return a process; what a person may not use is not there for them."""
        if process not in registry.installed() or not self.desk.allowed(person, process):
            sentence = f"There is no process {process[:80]!r} here that your groups can use: see processes."
            raise Refused("no-such-process", 404, sentence)
        return registry.installed()[process]

    def at(self, request: Request) -> str:
        """Return where the service is for whoever reads its links: the lab's public address, if it has one."""
        public = self.lab.origin("jobs") or self.lab.address.rstrip("/")
        if public:
            return f"{public}{self.hub.prefix}ogc"
        return f"{str(request.base_url).rstrip('/')}{self.hub.prefix}ogc"

    def page(self, request: Request) -> tuple[int, int]:
        """Return how many are asked for, and after how many."""
        try:
            query = request.query_params
            return listing.whole(query, "limit", 100, 1), listing.whole(query, "offset", 0, 0)
        except GeodesError as error:
            raise refusal(error) from None


def refusal(error: GeodesError) -> Exception:
    """Return how an error of the library is answered."""
    if isinstance(error, DatabaseUnusable):
        return error
    if isinstance(error, NotAllowed):
        return Refused("not-allowed", 403, str(error))
    return Refused("InvalidParameterValue", 400, str(error))


def this(href: str) -> dict[str, str]:
    """Return the link of a document to itself."""
    return {"href": href, "rel": "self", "type": "application/json"}


def following(path: str, limit: int, offset: int, many: int) -> list[dict[str, str]]:
    """Return the link to the next page, if there is one."""
    after = offset + limit
    if after >= many:
        return []
    return [{"href": f"{path}?limit={limit}&offset={after}", "rel": "next", "type": "application/json"}]


def no_number(word: str) -> Any:
    """Refuse what JSON does not know as a number."""
    raise ValueError(f"{word} is no number of JSON")
