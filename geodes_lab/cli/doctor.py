"""``geodes-lab doctor``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, NoReturn

import click

from geodes_lab.errors import GeodesError, shown

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
    "--cluster", is_flag=True, help="Check from a pod of the lab what is around it on Kubernetes; needs --settings."
)
@click.pass_context
def doctor(
    context: click.Context, profile: str, as_json: bool, claims: str | None, settings: str | None, cluster: bool
) -> None:
    """Check which recorded facts of the catalogue PROFILE still hold, from this machine.

    Sends a few small requests; nothing is downloaded and no quota is used. Exits with 1 if a fact has changed or a
    check fails. With --claims it says instead which rule of a lab accepts or refuses a person, and why; 1 if the person
    is refused. With --settings alone it reads the operator's file, and names the choices in it that have a cost; 1 if
    the hub would not start with it or, asked by root, if people's accounts could not run this Python. With --cluster it
    checks DNS, storage, policies, clocks, certificates and the servers that the lab needs; 1 if one fails.

    Example: geodes-lab doctor geodes
    """
    if claims is not None:
        _say_verdict(claims, settings)
    if cluster:
        _say_surroundings(settings, as_json)
    if settings is not None and context.get_parameter_source("settings") is click.core.ParameterSource.COMMANDLINE:
        _say_warnings(settings)
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


def _say_warnings(settings: str) -> NoReturn:
    from geodes_lab.policy.lab import load

    try:
        lab = load(settings)
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    for sentence in lab.warnings:
        click.echo(click.style("warning   ", "yellow") + sentence)
    if lab.servers.kind in ("accounts", "systemd"):
        from geodes_lab.util import executable

        if said := executable.fault(sys.executable, modules=("geodes_lab",)):
            click.echo(click.style("failed    ", "red") + said)
            sys.exit(1)
    click.echo(f"{settings} can be read: people of {len(lab.groups)} groups, servers of the kind {lab.servers.kind}.")
    sys.exit(0)
