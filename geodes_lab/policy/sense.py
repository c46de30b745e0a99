"""Whether the lines of the operator's file go together."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from geodes_lab.policy import prices

if TYPE_CHECKING:
    from geodes_lab.policy.lab import Lab


def is_loopback(host: str) -> bool:
    """Whether a name or number is this machine seen from itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def problems(lab: Lab) -> Iterable[str]:
    """What in the operator's file cannot go together, a sentence each."""
    yield from _of_profiles(lab)
    yield from _of_login(lab)
    yield from _of_places(lab)
    yield from _of_collaboration(lab)
    yield from prices.problems(lab.tariff, lab.profiles, lab.groups)
    if lab.trial and lab.trial not in lab.groups:
        yield f"trial names the group {lab.trial!r}, which is not in `groups`."
    if not 0 < lab.servers.reserve <= 1:
        yield "servers.reserve must be a fraction, such as 0.25."
    if not 0 < lab.home.warn <= 1:
        yield "home.warn is a part, such as 0.8."
    if lab.home.groups and not lab.home.groups.startswith("/"):
        yield "home.groups is the whole path of a folder, such as /srv/geodes-lab/groups."
    if lab.home.groups and lab.servers.kind == "process":
        yield "home.groups needs several people, and servers.kind is process, for one person: leave it out."


def _of_profiles(lab: Lab) -> Iterable[str]:
    for name, group in lab.groups.items():
        for profile in group.profiles:
            if profile not in lab.profiles:
                yield f"groups.{name} has the profile {profile!r}, which is not in `profiles`."
    if lab.servers.profile and lab.servers.profile not in lab.profiles:
        yield f"servers.profile is {lab.servers.profile!r}, which is not in `profiles`."
    if bool(lab.certificate) != bool(lab.key):
        yield "certificate and key must be given together."


def _of_collaboration(lab: Lab) -> Iterable[str]:
    for name, group in lab.groups.items():
        if not group.collaboration:
            continue
        line = f"groups.{name} has collaboration: true"
        if lab.login.kind == "link":
            yield f"{line}, which needs several people, and login.kind is link: leave it out."
        if not lab.apart:
            yield (
                f"{line}, and subdomains is false: the page of the common server, where any member can write what it "
                "shows, could act for each member who opens it. Set subdomains: true."
            )
        if group.admin:
            yield (
                f"{line} and admin: true: whoever runs code on the common server has the rights of the group, and an "
                "operator's would be among them. Give it to a group without admin."
            )
        if lab.profiles and not group.profiles:
            yield f"{line} and no profiles, so its common server could not start: give it at least one."


def _of_login(lab: Lab) -> Iterable[str]:
    on_kubernetes = lab.servers.kind == "kubernetes"
    if not lab.is_local and not lab.certificate and not lab.behind_tls and not on_kubernetes:
        yield (
            f"listen is {lab.listen}, without TLS: give certificate and key, or listen on 127.0.0.1, or set "
            "behind_tls: true if a server with TLS is in front of the lab."
        )
    if lab.login.kind == "link" and (not lab.is_local or lab.servers.kind != "process"):
        yield "login.kind is link, which only works for one person on loopback: use oidc for several people."
    if lab.login.kind == "oidc" and lab.servers.kind == "process":
        yield (
            "servers.kind is process, which runs all people as one user: use accounts, systemd or kubernetes for the "
            "people of a provider."
        )
    if lab.login.kind == "oidc" and not any(g.enter or g.admin for g in lab.groups.values()):
        yield "groups gives nobody access: give at least one group with enter: true."


def _of_places(lab: Lab) -> Iterable[str]:
    if any(r.places for r in lab.restricted.values()) and lab.login.kind == "oidc" and not lab.datalake.gate:
        yield "restricted names places, and only the gate can protect them: set datalake.gate: true."
    if lab.datalake.gate and not (lab.datalake.folder or lab.datalake.endpoint):
        yield "datalake.gate needs the datalake's endpoint or folder."
    if lab.apart and not _has_names_below(lab.address):
        yield (
            f"address is {lab.address or 'not given'}: users have host names below it (subdomains), so give a host "
            "name, such as https://lab.example.org. Or set subdomains: false; then the page of one person can act for "
            "another."
        )


def warnings(lab: Lab) -> Iterable[str]:
    """What may be so, and costs something.

    A sentence each, for the log of the hub and for `geodes-lab doctor --settings`.
    """
    if lab.login.kind == "oidc" and not lab.apart:
        yield (
            "subdomains is false: all pages of the lab have the same origin. If a person opens a page from another "
            "person's server, that page can read their files, use their tokens and run their code."
        )


def _has_names_below(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return bool(host)
    return False
