"""Processes of another service, OGC API – Processes such as GEODES's own, as jobs like all others.

Known of GEODES's service is how a process is begun: ``POST …/processes/{id}/execution`` with an API key and ``Prefer:
respond-async``. How a job is asked for is not known: the ``Location`` of the answer is used, or its ``jobID`` as OGC's
standard says. What an answer does not have is said, and nothing is begun twice without the person.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx
import pystac

from geodes_lab import products
from geodes_lab.batch.identity import key as key_of
from geodes_lab.batch.request import Impossible, Request, Result
from geodes_lab.batch.splitting.units import split
from geodes_lab.batch.store.leases import Leases, Task
from geodes_lab.batch.store.records import Record
from geodes_lab.batch.store.served import ServedLeases
from geodes_lab.batch.submission import Draft
from geodes_lab.catalog import profile as profiles
from geodes_lab.credentials import tls
from geodes_lab.errors import GeodesError, shown
from geodes_lab.processing.process import Process, check_id
from geodes_lab.products.bands import name_of
from geodes_lab.storage import fetch

_TIMEOUT = httpx.Timeout(30.0)
_LARGEST = 2**22  # bytes of an answer
_ASKED = "asked"
"""Instead of an address: it was sent, and no answer was recorded."""
_KNOWN = {"ortho-s1-grd": {"notif-email": "true", "restoration": False}}
"""Processes whose inputs are known, with what the service's own page sends."""


class StillRunning(GeodesError):
    """The other service computes; it is asked again later."""


def elsewhere(items: list[pystac.Item]) -> list[pystac.Item]:
    """A process that another service computes."""
    raise Impossible("This process runs at another service.")


def prepared(process: str, items: Any, inputs: Mapping[str, Any], *, profile: str, title: str = "") -> Draft:
    """Prepare a job of another service: a unit for each product; nothing is sent yet.

    Parameters
    ----------
    process
        Its id there.
    items
        The products.
    inputs
        Its inputs, as JSON. Of ``ortho-s1-grd`` the product's name is added, and what the service's page sends; other
        processes get exactly these.
    profile
        The catalogue's name in the settings, whose portal it is.
    title
        What the person calls the job.
    """
    name = check_id(process)
    _base(profile)
    try:
        given = json.loads(json.dumps(dict(inputs), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise GeodesError(f"An input of {name} cannot be written as JSON ({error}).") from None
    ours = [products.as_item(item) for item in products.several(items)]
    documents = [i.to_dict(include_self_link=True, transform_hrefs=False) for i in ours]
    request = Request(given, documents, "remote", profile=profile)
    units = split(request, ours, "each")
    there = Process(name, profile, elsewhere, "items", "each", "items")
    return Draft(there, request, [(u, key_of(name, profile, None, request, u)) for u in units], title or name, None)


def worked(leases: Leases | ServedLeases, task: Task, request: Request, record: Record) -> Result:
    """Bring a unit further at the other service.

    Raises
    ------
    StillRunning
        If it is not done there yet.
    Impossible
        If the service refuses it, it failed there, or it is not known whether it was begun.
    GeodesError
        If the service does not answer now.
    """
    base = _base(request.profile or "")
    address = task.remote
    if address == _ASKED:
        raise Impossible(
            f"{base} may have begun {record.process}, but its answer was not received: look at your processings in the "
            "portal. Only if it is not there, retry()."
        )
    if address is None:
        address = _begun(leases, task, request, record, base)
    status = _document(_ask("GET", base, address), base, "the state of a processing")
    state, message = str(status.get("status", "")).lower(), shown(str(status.get("message", "")))[:200]
    if state in ("accepted", "running"):
        raise StillRunning(f"{base} says {state} of {record.process}. {message}".strip())
    if state != "successful":
        raise Impossible(f"{base} says {state[:40] or 'nothing'} of {record.process}. {message}".strip())
    results = _document(_ask("GET", base, f"{address}/results"), base, "the results of a processing")
    return Result([], _items(results, request.items[task.unit.items[0]], task, base))


def _base(profile: str) -> str:
    portal = profiles.load(profile).portal
    if not portal:
        raise GeodesError(f"The profile {profile!r} has no portal that processes: use profile='geodes'.")
    return f"{portal.rstrip('/')}/processing"


def _begun(leases: Leases | ServedLeases, task: Task, request: Request, record: Record, base: str) -> str:
    """Begin a unit there; returns its address. What was sent is recorded first."""
    inputs = dict(request.inputs)
    if record.process in _KNOWN:
        item = products.as_item(request.items[task.unit.items[0]])
        inputs = {"product-title": name_of(item)} | _KNOWN[record.process] | inputs
    leases.remote(task, _ASKED)
    path = f"{base}/processes/{quote(record.process, safe='')}/execution"
    try:
        answer = _ask("POST", base, path, {"inputs": inputs})
    except httpx.ConnectError as error:
        leases.remote(task, None)  # nothing was sent
        raise GeodesError(f"{base} cannot be reached ({error}).") from error
    if answer.status_code in (429, 503):
        leases.remote(task, None)
        raise GeodesError(f"{base} takes no processing now (HTTP {answer.status_code}): {_said(answer)}")
    if answer.status_code in (401, 403):
        leases.remote(task, None)
        raise Impossible(
            f"{base} refuses {record.process} (HTTP {answer.status_code}): {_said(answer)} Make a new key in the "
            "portal and set GEODES_API_KEY, then retry()."
        )
    if 400 <= answer.status_code < 500:
        leases.remote(task, None)
        raise Impossible(f"{base} refuses {record.process} (HTTP {answer.status_code}): {_said(answer)}")
    address = _address(answer, base)
    leases.remote(task, address)
    return address


def _address(answer: httpx.Response, base: str) -> str:
    """Return where a processing that was begun is asked for: never another server, which would get the key."""
    location = answer.headers.get("location")
    if answer.status_code in (200, 201, 202):
        if location:
            address = urljoin(f"{base}/", location)
            if urlsplit(address)[:2] == urlsplit(base)[:2]:
                return address.partition("?")[0].rstrip("/")
        try:
            number = answer.json().get("jobID")
        except (ValueError, AttributeError):
            number = None
        if isinstance(number, str) and 0 < len(number) <= 200:
            return f"{base}/jobs/{quote(number, safe='')}"
    raise Impossible(
        f"{base} answered HTTP {answer.status_code} and does not say where the processing is: look at your processings "
        "in the portal."
    )


def _ask(verb: str, base: str, address: str, body: Any = None) -> httpx.Response:
    """Send one request with the person's key; redirects are not followed, since the key is for this server."""
    key = fetch.key(address)
    if key is None:
        raise Impossible(f"{base} needs your key: set GEODES_API_KEY to the key from your profile there, then retry().")
    headers = {"X-API-Key": key, "Accept": "application/json"}
    if body is not None:
        headers["Prefer"] = "respond-async"
    with (
        httpx.Client(verify=tls.context(), timeout=_TIMEOUT) as client,
        client.stream(verb, address, headers=headers, json=body) as answer,
    ):
        data = b""
        for part in answer.iter_bytes():
            data += part
            if len(data) > _LARGEST:
                raise Impossible(f"The answer of {base} has more than {_LARGEST} bytes.")
        plain = {k: v for k, v in answer.headers.items() if k in ("location", "content-type")}
        return httpx.Response(answer.status_code, headers=plain, content=data)


def _document(answer: httpx.Response, base: str, what: str) -> dict[str, Any]:
    if answer.status_code != 200:
        raise GeodesError(
            f"{base} does not say {what} (HTTP {answer.status_code}): look in the portal. {_said(answer)}"
        )
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise GeodesError(f"{base} says {what} in a way that is not understood: look in the portal.")
    return document


def _said(answer: httpx.Response) -> str:
    """Return what an answer says about its refusal, in a line."""
    try:
        document = answer.json()
        text = document.get("detail") or document.get("title") or document.get("message") or ""
    except (ValueError, AttributeError):
        text = ""
    return shown(str(text))[:200]


def _items(results: dict[str, Any], source: dict[str, Any], task: Task, base: str) -> list[dict[str, Any]]:
    """Make Items of results whose form is not known: Items as they are, else an Item with the files they name."""
    several = results.get("features") if results.get("type") == "FeatureCollection" else None
    if results.get("type") == "Feature":
        several = [results]
    try:
        if several:
            return [pystac.Item.from_dict(i).to_dict(transform_hrefs=False) for i in several]
    except Exception as error:  # whatever is wrong with a document
        raise Impossible(f"{base} made results that are no STAC Items ({type(error).__name__}).") from None
    hrefs: dict[str, str] = {}
    for name, value in results.items():
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            href = one.get("href") if isinstance(one, dict) else None
            if isinstance(href, str) and urlsplit(href).scheme in ("https", "http", "s3"):
                hrefs[f"{name}-{number}" if isinstance(value, list) else str(name)] = href
    if not hrefs:
        raise Impossible(f"{base} is done, and its results name no file that is understood: look in the portal.")
    item = pystac.Item.from_dict({**source, "assets": {}, "links": []})
    item.id, item.collection_id = f"{item.id}_{task.job[:12]}", None
    for name, href in hrefs.items():
        item.add_asset(name, pystac.Asset(href, roles=["data"]))
    return [item.to_dict(transform_hrefs=False)]
