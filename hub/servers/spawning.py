"""Before a server starts.

Which size the person may have, whether the quota allows it, and the account that it runs as.
"""

from __future__ import annotations

import asyncio
import html
import json
import secrets
import time
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import HTTPError

from geodes_lab.policy.groups import Profile
from geodes_lab.policy.limits import REASONS, verdict
from geodes_lab.policy.people import rights, standing
from geodes_lab.util.group_folders import OWN, VARIABLE
from hub.installation import installation
from hub.login.link import owner
from hub.servers import accounts, collaboration, group_folders, group_mounts
from hub.servers.runners import NAME
from hub.servers.sizes import OPTION, of_server
from hub.services.registration import address

_FRESH = 30.0  # seconds
TOKEN = secrets.token_hex(32)
"""By this the hub asks the accounts of use; another one at each start."""


class SpawnRefused(HTTPError):
    """A server that is not started; the sentence is shown to the person."""

    def __init__(self, sentence: str) -> None:
        super().__init__(403, sentence)
        self.jupyterhub_message = sentence


def sizes(spawner: Any) -> dict[str, Profile]:
    """The profiles that a person may have, by name."""
    lab = installation().lab
    return {name: lab.profiles[name] for name in rights(_groups(spawner), lab).profiles}


def form(spawner: Any) -> str:
    """The hub's form before a server starts; empty, and so not shown, where there is no choice."""
    allowed = sizes(spawner)
    if len(allowed) < 2:
        return ""
    first = _default(allowed)
    rows = [
        f'<div class="form-check"><input class="form-check-input" type="radio" name="{OPTION}" id="size-{k}" '
        f'value="{k}"'
        f'{" checked" if k == first else ""}><label class="form-check-label" '
        f'for="size-{k}"><b>{html.escape(p.title)}</b>'
        f"{f' · <span lang=fr>{html.escape(p.titre)}</span>' if p.titre else ''} — {p.cores:g} "
        f"core{'' if p.cores == 1 else 's'}, {p.memory}"
        f"{f', {p.gpus} GPU' if p.gpus else ''}</label></div>"
        for k, p in ((html.escape(name), profile) for name, profile in allowed.items())
    ]
    return f'<fieldset><legend>Size <span lang="fr">· Taille</span></legend>{"".join(rows)}</fieldset>'


def chosen(given: dict[str, list[str]], spawner: Any = None) -> dict[str, str]:
    """What the form says."""
    return {OPTION: given[OPTION][0]} if given.get(OPTION) else {}


def applied(spawner: Any, options: dict[str, Any]) -> None:
    """Leave the wish to `prepare`, which knows the person's groups; without this the hub logs that nobody heeds it."""


async def prepare(spawner: Any) -> None:
    """Hold a start against the rules; whatever came with the request, by the form or the API, is only a wish.

    Raises
    ------
    SpawnRefused
        If the person may not have it. The sentence says what to do.
    """
    here = installation()
    lab = here.lab
    if spawner.name not in ("", NAME):
        raise SpawnRefused("A person has one server here, and one for jobs, which starts by itself.")
    if lab.login.kind == "link" and spawner.user.name != owner():
        raise SpawnRefused(
            f"This lab belongs to {owner()} and runs everything as that user. To let several people use it, set it up "
            "with accounts (docs/operations/operator.md)."
        )
    try:
        collaboration.prepare(spawner, lab)
    except RuntimeError as error:
        raise SpawnRefused(f"{error} Ask {lab.contact}.") from None
    _size(spawner, sizes(spawner))
    quota = rights(_groups(spawner), lab).quota
    if any(getattr(quota, name) is not None for name in REASONS):
        await _within(spawner)
    if lab.servers.kind in ("accounts", "systemd"):
        if obstacle := await asyncio.to_thread(accounts.unusable):
            raise SpawnRefused(f"{obstacle} Tell {lab.contact}.")
        try:
            found = accounts.ensure(spawner.user.name)
            sockets = accounts.runtime(found)
            shared = group_folders.ensure(found, _groups(spawner)) if lab.home.groups else {}
            await asyncio.to_thread(accounts.limit, found, quota.storage or 0)
        except (RuntimeError, OSError) as error:
            raise SpawnRefused(f"{error} Tell {lab.contact}.") from None
        spawner.environment = {**spawner.environment, "GEODES_LAB_RUNTIME": str(sockets)}
        spawner.environment[VARIABLE] = json.dumps(shared)
        if lab.servers.kind == "systemd":
            spawner.username_template = found.pw_name
            if spawner.name:  # a unit of its own, beside that of the person's first server
                spawner.unit_name = f"geodes-lab-{spawner.user.id}-{spawner.name}"
    if here.on_kubernetes:
        _mount(spawner)
    _tell(spawner, quota.storage)


def _size(spawner: Any, allowed: dict[str, Profile]) -> None:
    lab = installation().lab
    if not lab.profiles:
        return
    wish = of_server(spawner.user_options) or _default(allowed)
    if not isinstance(wish, str) or wish not in allowed:
        may = f"you can choose {', '.join(allowed)}" if allowed else "none of your groups has a size"
        raise SpawnRefused(f"You cannot use the size {str(wish)[:30]!r}: {may}. Ask {lab.contact} for another size.")
    profile = allowed[wish]
    spawner.user_options = {OPTION: wish}  # what else came with the request means nothing
    if (record := getattr(spawner, "orm_spawner", None)) is not None:
        record.user_options = spawner.user_options  # also for a hub that starts anew while the server runs
        spawner.db.commit()  # at once: what is not committed when another request comes is rolled back
    spawner.mem_limit, spawner.cpu_limit = int(profile.memory), float(profile.cores)
    if installation().on_kubernetes:
        _reserve(spawner, profile)
    elif not profile.gpus:
        spawner.environment = {**spawner.environment, "CUDA_VISIBLE_DEVICES": ""}


def _reserve(spawner: Any, profile: Profile) -> None:
    """What the pod is given for certain: all of its memory, since memory cannot be lent, and a part of its cores."""
    here = installation().lab
    spawner.mem_guarantee, spawner.cpu_guarantee = int(profile.memory), float(profile.cores) * here.servers.reserve
    spawner.extra_resource_limits = {profile.gpu_kind: str(profile.gpus)} if profile.gpus else {}
    if profile.gpus:  # a taint of this name usually keeps other pods from nodes with GPUs
        tolerated = {"key": profile.gpu_kind, "operator": "Exists", "effect": "NoSchedule"}
        spawner.tolerations = [*(t for t in spawner.tolerations if t != tolerated), tolerated]
    if profile.image:
        spawner.image = profile.image


def _mount(spawner: Any) -> None:
    """What the pod sees beside its home: all read what is shared, and operators write it; each the person's groups."""
    lab, person, groups = installation().lab, spawner.user.name, _groups(spawner)
    spawner.volume_mounts = _sharing(spawner.volume_mounts, lab.home.shared, rights(groups, lab).admin)
    try:
        group_mounts.into(spawner, person, groups, lab)
    except RuntimeError as error:
        raise SpawnRefused(f"{error} Tell {lab.contact}.") from None
    named = {VARIABLE: group_mounts.folders(groups, lab), OWN: group_mounts.own(person, groups, lab)}
    # KubeSpawner takes what is in braces for names of its own.
    texts = {name: json.dumps(value).replace("{", "{{").replace("}", "}}") for name, value in named.items()}
    spawner.environment = {**spawner.environment, **texts}


def _sharing(mounts: Any, shared: str, writes: bool) -> Any:
    """The mounts, that of the shared folder for reading only or not.

    zero-to-jupyterhub 4 has them as a dict; before they were a list, and KubeSpawner takes both.
    """

    def one(mount: dict[str, Any]) -> dict[str, Any]:
        return {**mount, "readOnly": not writes} if shared and mount.get("mountPath") == shared else mount

    if isinstance(mounts, dict):
        return {name: one(mount) for name, mount in mounts.items()}
    return [one(mount) for mount in mounts]


class _Used:
    """What everybody has used, asked of the accounts at most every half a minute.

    Not by each of five hundred starts.
    """

    def __init__(self) -> None:
        self._when = float("-inf")
        self._told: dict[str, dict[str, float]] = {}
        self._asking = asyncio.Lock()

    async def of(self, person: str, log: Any) -> dict[str, float]:
        """What one has used; nothing, where the accounts do not answer: nobody is kept from work by that."""
        async with self._asking:
            if time.monotonic() - self._when > _FRESH:
                try:
                    headers = {"Authorization": f"token {TOKEN}"}
                    answer = await AsyncHTTPClient().fetch(
                        f"{address('usage')}/api/used", headers=headers, request_timeout=5
                    )
                    self._told, self._when = json.loads(answer.body), time.monotonic()
                except (HTTPClientError, OSError, ValueError) as error:
                    log.warning("The usage service does not answer (%s): its last answer is used.", error)
        return self._told.get(person, {})


_used = _Used()


async def _within(spawner: Any) -> None:
    allowance = verdict(await _used.of(spawner.user.name, spawner.log), _groups(spawner), installation().lab)
    if not allowance.allowed:
        raise SpawnRefused(f"{allowance.reason} Ask {installation().lab.contact} for more.")


def _tell(spawner: Any, storage: int | None) -> None:
    lab = installation().lab
    may = rights(_groups(spawner), lab)
    environment = {
        "GEODES_LAB_NAME": lab.name,
        "GEODES_LAB_HOME_QUOTA": str(int(storage)) if storage else "",
        "GEODES_LAB_HOME_WARN": str(lab.home.warn),
        "GEODES_LAB_SHARED": lab.home.shared,
        "GEODES_LAB_FILES": "volumes" if installation().on_kubernetes else "machine",
        "GEODES_LAB_ASSISTANT": lab.assistant,
        "GEODES_LAB_PEOPLE": "one" if lab.login.oidc is None else "several",
        "GEODES_LAB_DASK_CORES": str(may.dask.cores),
        "GEODES_LAB_DASK_MEMORY": str(int(may.dask.memory)),
    }
    spawner.environment = {**spawner.environment, **environment}


def _default(allowed: dict[str, Profile]) -> str:
    default = installation().lab.servers.profile
    return default if default in allowed else next(iter(allowed), "")


def _groups(spawner: Any) -> set[str]:
    return set(standing(spawner.user.name, {g.name for g in spawner.user.groups}, installation().lab))
