"""``geodes-lab doctor``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from geodes_lab.errors import GeodesError


@click.command()
@click.argument("profile", default="geodes")
@click.option("--json", "as_json", is_flag=True, help="Say what was found as JSON.")
def doctor(profile: str, as_json: bool) -> None:
    """Say which recorded facts of the catalogue PROFILE still hold, seen from this machine.

    A few small requests; nothing is downloaded and no quota is used. Exits with 1 if a fact has changed or fails.

    Example: geodes-lab doctor geodes
    """
    from geodes_lab.doctor import examine

    colours = {"holds": "green", "changed": "yellow", "failed": "red", "not tried": "blue"}
    findings = []
    try:
        for finding in examine(profile):
            findings.append(finding)
            if not as_json:
                click.echo(
                    click.style(f"{finding.state:10}", colours[finding.state]) + f"{finding.fact}: {finding.text}"
                )
    except GeodesError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(f) for f in findings], indent=1))
    sys.exit(any(f.state in ("changed", "failed") for f in findings))
