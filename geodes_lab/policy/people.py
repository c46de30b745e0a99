"""From what a provider says of a person to what that person may do, with the reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from geodes_lab.policy import collaboration
from geodes_lab.policy.groups import Dask, Quota
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.services import Restricted

# What can be part of a path, of an address and of a unix account: no one else's home can be named with it.
NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")

ROBOT = "robot@lab"
"""The name of the robot that tests the lab (``hub/trial.py``).

No person of the provider can have it, because no name of a person has an @.
"""

Code = Literal["accepted", "no name", "bad name", "blocked", "no claim", "bad claim", "no groups", "no rule"]
Language = Literal["en", "fr"]


@dataclass(frozen=True)
class Rights:
    """What a person may do."""

    admin: bool
    profiles: tuple[str, ...]
    """The profiles, in the order of the operator's file."""
    dask: Dask
    quota: Quota
    restricted: frozenset[str]
    """The restricted collections that the person can see and read."""


@dataclass(frozen=True)
class Decision:
    """Whether a person enters, and why."""

    code: Code
    name: str
    groups: frozenset[str]
    rule: str
    """The line of the operator's file that decided."""
    seen: tuple[str, ...]
    """The checks, one sentence each, for the operator."""
    detail: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the person enters."""
        return self.code == "accepted"

    def sentence(self, contact: str, language: Language = "en") -> str:
        """What a refused person reads."""
        return _SENTENCES[self.code][language].format(name=self.name or "?", detail=self.detail, contact=contact)


_SENTENCES: dict[Code, dict[Language, str]] = {
    "accepted": {"en": "You may enter, {name}.", "fr": "Vous pouvez entrer, {name}."},
    "no name": {
        "en": "Your login succeeded, but the login service did not send your name ({detail}). Tell {contact}.",
        "fr": "Votre connexion a réussi, mais le service de connexion n'a pas donné votre nom ({detail}). Signalez-le "
        "à {contact}.",
    },
    "bad name": {
        "en": "Your login succeeded, but your name, {name!r}, cannot be used here: a name can have letters, digits, "
        "dot, dash and underscore. Tell {contact}.",
        "fr": "Votre connexion a réussi, mais votre nom, {name!r}, ne peut pas servir ici : un nom peut avoir des "
        "lettres, des chiffres, point, tiret et souligné. Signalez-le à {contact}.",
    },
    "blocked": {
        "en": "Your login succeeded, but the account {name} is blocked in this lab. Ask {contact}.",
        "fr": "Votre connexion a réussi, mais le compte {name} est bloqué dans ce laboratoire. Adressez-vous à "
        "{contact}.",
    },
    "no claim": {
        "en": "Your login as {name} succeeded, but the login service did not send your groups ({detail}), and this lab "
        "gives access by groups. You cannot repair this yourself: show this sentence to {contact}.",
        "fr": "Votre connexion en tant que {name} a réussi, mais le service de connexion n'a pas dit à quels groupes "
        "vous appartenez ({detail}), et ce laboratoire donne l'accès d'après les groupes. Vous ne pouvez pas y "
        "remédier vous-même : montrez cette phrase à {contact}.",
    },
    "bad claim": {
        "en": "Your login as {name} succeeded, but the login service sent your groups in a form that this lab does not "
        "understand ({detail}). You cannot repair this yourself: show this sentence to {contact}.",
        "fr": "Votre connexion en tant que {name} a réussi, mais le service de connexion a donné vos groupes sous une "
        "forme inconnue ({detail}). Vous ne pouvez pas y remédier vous-même : montrez cette phrase à {contact}.",
    },
    "no groups": {
        "en": "Your login as {name} succeeded, but you are in no group yet, and this lab is only for members of "
        "certain groups. Ask {contact} to add you.",
        "fr": "Votre connexion en tant que {name} a réussi, mais vous n'êtes encore dans aucun groupe, et ce "
        "laboratoire est réservé aux membres de certains groupes. Demandez à {contact} de vous ajouter.",
    },
    "no rule": {
        "en": "Your login as {name} succeeded, but none of your groups ({detail}) gives access to this lab. Ask "
        "{contact} to add you to such a group.",
        "fr": "Votre connexion en tant que {name} a réussi, mais aucun de vos groupes ({detail}) ne donne accès à ce "
        "laboratoire. Demandez à {contact} de vous ajouter à un groupe qui y donne accès.",
    },
}


def standing(name: str, groups: Collection[str], lab: Lab) -> Collection[str]:
    """The groups that count for a person.

    Those that are known. Of the robot it is the one that the operator's file names, of a group's server its group.
    """
    if collaboration.is_server(name):
        group = collaboration.group(name, lab)
        return {group} if group else ()
    return {lab.trial} if name == ROBOT else groups


def decide(claims: Mapping[str, Any], lab: Lab) -> Decision:
    """Decide about a person by what the provider says.

    Parameters
    ----------
    claims
        As the provider gives them: userinfo, or what a token holds.
    lab
        The operator's file.
    """
    if lab.login.oidc is None:
        return Decision("no rule", "", frozenset(), "login.kind: link", ("This lab has no login with a provider.",))
    wanted = lab.login.oidc.claims
    seen: list[str] = []
    given = str(_claim(claims, wanted.name) or "")
    # Letters outside ASCII first: the small one of the Kelvin sign is k, and who is called so would become kevin.
    name = given.lower() if given.isascii() else given
    seen.append(f"The name is {name!r}, from the claim {wanted.name}.")

    def told(code: Code, rule: str, groups: Collection[str] = (), detail: str = "") -> Decision:
        return Decision(code, name, frozenset(groups), rule, tuple(seen), detail)

    if not name:
        return told("no name", "login.oidc.claims.name", detail=f"no claim {wanted.name}")
    if not NAME.fullmatch(name):
        return told("bad name", "login.oidc.claims.name")
    if name in lab.login.blocked:
        return told("blocked", "login.blocked")
    groups: set[str] = set()
    found = False
    for path in wanted.groups:
        value = _claim(claims, path)
        if value is None:
            seen.append(f"There is no claim {path}; the claims are {', '.join(sorted(map(str, claims))) or 'none'}.")
            continue
        try:
            several = _names(value)
        except ValueError:
            seen.append(f"The claim {path} is a {type(value).__name__}, not a list of names.")
            return told("bad claim", "login.oidc.claims.groups", groups, f"{path} is a {type(value).__name__}")
        found = True
        groups |= several
        seen.append(f"The claim {path} gives {', '.join(sorted(several)) or 'no group'}.")
    if not found:
        missing = f"no claim {' nor '.join(wanted.groups)}"
        return told("no claim", "login.oidc.claims.groups", detail=missing)
    if not groups:
        return told("no groups", "groups")
    opening = _opening(groups, lab, seen)
    if opening is None:
        return told("no rule", "groups", groups, ", ".join(sorted(groups)))
    return told("accepted", f"groups.{opening}", groups)


def _opening(groups: Collection[str], lab: Lab, seen: list[str]) -> str | None:
    """The first rule that lets members of some groups in; what is looked at is told to ``seen``."""
    for group, rule in lab.groups.items():
        if group not in groups:
            seen.append(f"The rule groups.{group} does not match.")
        elif not (rule.admin or rule.enter):
            seen.append(f"The rule groups.{group} matches, but gives no access to the lab.")
        else:
            seen.append(
                f"The rule groups.{group} matches, and gives access to the lab{' as admin' if rule.admin else ''}."
            )
            return group
    return None


def rights(groups: Collection[str], lab: Lab) -> Rights:
    """What the members of some groups may do; in a lab for one person, everything but to fill the disk.

    The quota of storage is that of the home, wherever it is said: of groups, else of ``home``.
    """
    home = Quota(storage=lab.home.quota)
    if lab.login.kind == "link":
        every = frozenset(lab.restricted)
        return Rights(True, tuple(lab.profiles), Dask(10**6, 10**6, Dask.memory), home, every)
    mine = [rule for name, rule in lab.groups.items() if name in groups]
    chosen = {p for rule in mine for p in rule.profiles}
    no_dask = Dask(0, 0, Dask.memory)
    return Rights(
        admin=any(rule.admin for rule in mine),
        profiles=tuple(p for p in lab.profiles if p in chosen),
        dask=_largest(Dask(), [r.dask for r in mine]) if mine else no_dask,
        quota=Quota() if any(r.unlimited for r in mine) else _largest(home, [r.quota for r in mine]),
        restricted=frozenset(name for name, told in lab.restricted.items() if set(told.groups) & set(groups)),
    )


def holding(place: str, lab: Lab) -> list[tuple[str, Restricted]]:
    """The restricted collections that an object of the datalake may belong to, by its ``bucket/key``."""
    return [
        (name, told)
        for name, told in lab.restricted.items()
        if any(place == p.rstrip("/") or place.startswith(f"{p.rstrip('/')}/") for p in told.places)
    ]


def refusing(groups: Collection[str], place: str, lab: Lab) -> str:
    """The restricted collection that keeps the members of some groups from a place (``bucket/key``).

    Empty: they may read it.
    """
    if lab.login.kind == "link":
        return ""
    return next((name for name, told in holding(place, lab) if not set(told.groups) & set(groups)), "")


def _largest(unsaid: Any, grants: list[Any]) -> Any:
    """Of each limit the largest that is said; where none is said, that of ``unsaid``."""
    largest = {}
    for f in fields(unsaid):
        values = [v for grant in grants if (v := getattr(grant, f.name)) is not None]
        largest[f.name] = max(values, default=getattr(unsaid, f.name))
    return type(unsaid)(**largest)


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    if path in claims:  # names of claims may have dots: https://geodes.example/groups
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _names(value: Any) -> set[str]:
    """The groups that a claim lists; ``/a/b`` of Keycloak is b in a: who is in it is in a too, as Keycloak has it."""
    if isinstance(value, str):
        value = [v for v in re.split(r"[,;\s]+", value) if v]
    if not isinstance(value, (list, tuple)):
        raise ValueError(value)
    found = set()
    for entry in value:
        if isinstance(entry, Mapping):
            entry = entry.get("path") or entry.get("name")
        if not isinstance(entry, str):
            raise ValueError(value)
        parts = entry.strip("/").split("/") if entry.startswith("/") else [entry]
        found |= {"/".join(parts[: n + 1]) for n in range(len(parts)) if parts[0]}
    return found
