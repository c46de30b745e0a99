"""``geodes-lab doctor``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from geodes_lab.errors import GeodesError, shown
from geodes_lab.policy.units import Bytes
from geodes_lab.util.disk import disk_use, project_quota

if TYPE_CHECKING:
    from geodes_lab.policy.lab import Lab

_COLOURS = {"holds": "green", "changed": "yellow", "warning": "yellow", "failed": "red", "not tried": "blue"}


@click.command()
@click.argument("profile", default="geodes")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option(
    "--claims",
    help="A person's token, or a file with the token or with claims as JSON; - reads it from the standard input.",
)
@click.option(
    "--settings",
    envvar="GEODES_LAB_SETTINGS",
    help="The operator's file of the lab: for --claims, or alone to check it and to name choices that have a cost.",
)
@click.option(
    "--homes", is_flag=True, help="With --settings, as root: how many bytes each home holds, the largest first."
)
@click.option(
    "--cluster", is_flag=True, help="Check from a pod of the lab what is around it on Kubernetes; needs --settings."
)
@click.pass_context
def doctor(
    context: click.Context,
    profile: str,
    as_json: bool,
    claims: str | None,
    settings: str | None,
    homes: bool,
    cluster: bool,
) -> None:
    """Check which recorded facts of the catalogue PROFILE still hold, from this machine.

    Sends a few small requests; nothing is downloaded and no quota is used. Exits with 1 if a fact has changed or a
    check fails. With --claims it says instead which rule of a lab accepts or refuses a person, and why; 1 if the person
    is refused. With --settings alone it reads the operator's file, and names the choices in it that have a cost; 1 if
    the hub would not start with it or, asked by root, if people's accounts could not run this Python. In a lab's own
    server it begins with how full the home is. With --cluster it checks DNS, storage, policies, clocks, certificates
    and the servers that the lab needs; 1 if one fails.

    Example: geodes-lab doctor geodes
    """
    if claims is not None:
        _say_verdict(claims, settings)
    if cluster:
        _say_surroundings(settings, as_json)
    if settings is not None and context.get_parameter_source("settings") is click.core.ParameterSource.COMMANDLINE:
        _say_warnings(settings, homes)
    if not as_json:
        _say_home()
    from geodes_lab.catalog.doctor import examine

    try:
        states = _say(examine(profile), as_json)
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    sys.exit(bool(states & {"changed", "failed"}))


def _say(findings: Iterable[Any], as_json: bool) -> set[str]:
    """Print findings as they come, or all of them as JSON; return their states."""
    told = []
    for finding in findings:
        told.append(finding)
        if not as_json:
            state = click.style(f"{finding.state:10}", _COLOURS[finding.state])
            click.echo(state + shown(f"{finding.fact}: {finding.text}"))
    if as_json:
        click.echo(json.dumps([asdict(f) for f in told], indent=1))
    return {f.state for f in told}


def _say_surroundings(settings: str | None, as_json: bool) -> NoReturn:
    from geodes_lab import settings as library
    from geodes_lab.policy.lab import load
    from geodes_lab.surroundings.examine import Surroundings
    from geodes_lab.surroundings.kubernetes import Kubernetes

    if settings is None:
        raise click.UsageError("--cluster needs --settings, the operator's file of the lab.")
    try:
        here = Surroundings(load(settings), Kubernetes.of_pod(), library.get("datalake.ca") or "")
        states = _say(here.examine(), as_json)
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    sys.exit("failed" in states)


def _say_verdict(claims: str, settings: str | None) -> NoReturn:
    from geodes_lab.policy.verdict import verdict

    if settings is None:
        raise click.UsageError("--claims needs --settings, the operator's file of the lab.")
    try:
        enters, sentences = verdict(claims, settings)
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(sentences))
    sys.exit(not enters)


def _say_home() -> None:
    """How full the home of this server is; its quota comes with the server, from the operator's file."""
    if not (limit := int(os.environ.get("GEODES_LAB_HOME_QUOTA") or 0)):
        return
    used = disk_use.of(Path.home())
    state = "failed" if used is None or used >= limit else "holds"
    amount = "unknown" if used is None else f"{Bytes(used)} of {Bytes(limit)}, {used / limit:.0%} of the quota"
    click.echo(click.style(f"{state:10}", "red" if state == "failed" else "green") + f"home: {amount}")


def _say_homes(lab: Lab) -> None:
    folder = Path(lab.home.folder or f"{lab.state}/homes")
    sizes = {home: disk_use.of(home) for home in folder.iterdir() if home.is_dir()} if folder.is_dir() else {}
    for home, used in sorted(sizes.items(), key=lambda h: -(h[1] or 0)):
        kept = project_quota.held(home)
        limit = f", held by the file system to {Bytes(kept[1])}" if kept and kept[1] else ""
        click.echo(f"home      {home.name}: {'unknown' if used is None else Bytes(used)}{limit}")


def _unenforced(lab: Lab) -> str:
    """Why a quota of homes is not held by the file system; empty if it is, or if there is none."""
    if not lab.home.quota and not any(g.quota.storage for g in lab.groups.values()):
        return ""
    folder = Path(lab.home.folder or f"{lab.state}/homes")
    mount = project_quota.mount_of(next(p for p in (folder, *folder.parents) if p.exists()))
    advice = mount.advice if mount else "This system has none."
    return advice and (
        "The homes have a quota, and their file system does not hold programs to it: JupyterLab refuses to save into a "
        f"full home, but terminals and kernels can fill the disk. {advice}"
    )


def _say_warnings(settings: str, homes: bool) -> NoReturn:
    from geodes_lab.policy.lab import load

    try:
        lab = load(settings)
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    for sentence in lab.warnings:
        click.echo(click.style("warning   ", "yellow") + sentence)
    obstacle = None
    if lab.servers.kind in ("accounts", "systemd"):
        from geodes_lab.util import executable

        if obstacle := executable.fault(sys.executable, modules=("geodes_lab",)):
            click.echo(click.style("failed    ", "red") + obstacle)
        if said := _unenforced(lab):
            click.echo(click.style("warning   ", "yellow") + said)
    if homes:
        _say_homes(lab)
    click.echo(f"{settings} can be read: people of {len(lab.groups)} groups, servers of the kind {lab.servers.kind}.")
    sys.exit(bool(obstacle))
