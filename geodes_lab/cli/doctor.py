"""``geodes-lab doctor``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import NoReturn

import click

from geodes_lab.errors import GeodesError, shown


@click.command()
@click.argument("profile", default="geodes")
@click.option("--json", "as_json", is_flag=True, help="Say what was found as JSON.")
@click.option(
    "--claims", help="A person's token, or a file of it or of claims as JSON; - reads it from the standard input."
)
@click.option("--settings", envvar="GEODES_LAB_SETTINGS", help="The operator's file of the lab, for --claims.")
def doctor(profile: str, as_json: bool, claims: str | None, settings: str | None) -> None:
    """Say which recorded facts of the catalogue PROFILE still hold, seen from this machine.

    A few small requests; nothing is downloaded and no quota is used. Exits with 1 if a fact has changed or fails.
    With --claims it says instead which rule of a lab accepts or refuses a person, and why; 1 if the person is refused.

    Example: geodes-lab doctor geodes
    """
    if claims is not None:
        _say_verdict(claims, settings)
    from geodes_lab.doctor import examine

    colours = {"holds": "green", "changed": "yellow", "failed": "red", "not tried": "blue"}
    findings = []
    try:
        for finding in examine(profile):
            findings.append(finding)
            if not as_json:
                click.echo(
                    click.style(f"{finding.state:10}", colours[finding.state])
                    + shown(f"{finding.fact}: {finding.text}")
                )
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(f) for f in findings], indent=1))
    sys.exit(any(f.state in ("changed", "failed") for f in findings))


def _say_verdict(claims: str, settings: str | None) -> NoReturn:
    from geodes_lab.policy.verdict import verdict

    if settings is None:
        raise click.UsageError("--claims goes with --settings, the operator's file of the lab.")
    try:
        enters, sentences = verdict(claims, settings)
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(sentences))
    sys.exit(not enters)
