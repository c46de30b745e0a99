"""All checks of what is around the lab, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from geodes_lab.policy.lab import Lab
from geodes_lab.surroundings import certificates, clocks, names, policies, servers, storage
from geodes_lab.surroundings.finding import Finding, bounded
from geodes_lab.surroundings.kubernetes import Kubernetes

_OUTSIDE = "This is no pod with an account of the cluster: run it as docs/operations/chart.md says."


@dataclass(frozen=True)
class Surroundings:
    """Where the lab stands.

    Parameters
    ----------
    lab
        The operator's file.
    kubernetes
        Kubernetes' API; None: outside of a cluster.
    datalake_authority
        A PEM for the certificate of the datalake.
    hub
        The hub's address in the cluster.
    closed
        A Service and its port that the policies forbid to the pod of these checks.
    services
        Names of Services that every pod can look up.
    seconds
        For each check, all its names and servers together.
    """

    lab: Lab
    kubernetes: Kubernetes | None
    datalake_authority: str = ""
    hub: str = "http://hub:8081"
    closed: tuple[str, int] = ("usage", 8080)
    services: tuple[str, ...] = ("hub", "proxy-public", "usage")
    seconds: float = 30

    def examine(self) -> Iterator[Finding]:
        """Yield each finding as soon as it is known."""
        for fact, check in self._checks():
            yield from bounded(fact, check, self.seconds)

    def _checks(self) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
        lab, oidc = self.lab, self.lab.login.oidc
        issuer, endpoint = oidc.issuer if oidc else "", lab.datalake.endpoint
        authority = oidc.authority if oidc else ""
        host = urlsplit(lab.address).hostname or ""
        outside = [h for url in (lab.address, issuer, endpoint) if (h := _public(url))]
        above = [host] if lab.apart and _public(lab.address) else []
        yield names.FACT, partial(names.resolved, self.services, outside, above)
        yield "hub", partial(servers.hub, self.hub)
        if self.kubernetes is None:
            yield "Kubernetes", lambda: [Finding("Kubernetes", "not tried", _OUTSIDE)]
        else:
            yield "storage class", partial(storage.classes, self.kubernetes)
            yield "claims", partial(storage.claims, self.kubernetes)
            yield policies.FACT, partial(policies.enforced, self.kubernetes, *self.closed)
        if issuer:
            yield "provider", partial(servers.provider, issuer, authority)
        if endpoint:
            yield "datalake", partial(servers.datalake, endpoint, self.datalake_authority)
        yield clocks.FACT, partial(clocks.agreed, self._dates(issuer, authority, endpoint))
        for url, what, trusted, setting in (
            (issuer, "the provider", authority, "lab.login.oidc.authority"),
            (endpoint, "the datalake", self.datalake_authority, "datalake.authority"),
            (lab.address, "the lab", "", ""),
        ):
            if urlsplit(url).scheme == "https":
                yield f"certificate of {what}", partial(_certificate, url, what, trusted, setting)
        if above and urlsplit(lab.address).scheme == "https":
            what = "people's names"
            yield f"certificate of {what}", partial(_certificate, lab.address, what, "", "", f"somebody.{host}")

    def _dates(self, issuer: str, authority: str, endpoint: str) -> dict[str, Callable[[], str]]:
        """What asks each server for its time."""
        asking: dict[str, Callable[[], str]] = {}
        if self.kubernetes is not None:
            asking["Kubernetes' API"] = partial(_date_of_kubernetes, self.kubernetes)
        if issuer:
            asking["the provider"] = partial(_date, issuer, authority)
        if endpoint:
            asking["the datalake"] = partial(_date, endpoint, self.datalake_authority)
        return asking


def _date(url: str, authority: str) -> str:
    return servers.asked(url, authority).headers.get("Date", "")


def _date_of_kubernetes(kubernetes: Kubernetes) -> str:
    return kubernetes.get("/version").headers.get("Date", "")


def _certificate(url: str, what: str, authority: str, setting: str, name: str = "") -> Iterator[Finding]:
    parts = urlsplit(url)
    return certificates.good(parts.hostname or "", parts.port or 443, what, authority, setting, name)


def _public(url: str) -> str:
    """The host of an address that the DNS must know: names that end in ``.localhost`` are every machine's own."""
    host = urlsplit(url).hostname or ""
    return "" if host == "localhost" or host.endswith(".localhost") else host
