"""The command line: ``geodes-lab …``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from geodes_lab import GeodesError, __version__

if TYPE_CHECKING:
    from rich.progress import TaskID


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """The datalab of GEODES."""


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write it anew even if it is there.")
def sample(folder: Path, force: bool) -> None:
    """Write the sample datalake into FOLDER.

    Products in their exact public formats with known answers, their catalogue as GEODES writes it, and the truth
    they were made from. About half a minute, 150 MB.

    Example: geodes-lab sample ~/geodes-sample
    """
    from rich.progress import Progress

    from geodes_lab.sample import build

    if build.is_complete(folder) and not force:
        click.echo(f"{folder} holds the sample datalake already.")
        return
    click.echo(f"Writing the sample datalake into {folder}: half a minute, 160 MB.")
    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Writing the sample datalake", total=None)

        def tell(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=name[:44])

        try:
            build.write(folder, tell)
        except (GeodesError, OSError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"The sample datalake is in {folder}.")


@main.command()
@click.argument("profile")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--collection",
    "wanted",
    multiple=True,
    help="One collection; may be given several times. All of them, if not given.",
)
@click.option("--anew", is_flag=True, help="Fetch all again, not only what was published since the last time.")
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON.")
def harvest(profile: str, folder: Path, wanted: tuple[str, ...], anew: bool, as_json: bool) -> None:
    """Bring the catalogue PROFILE into FOLDER, as stac-geoparquet.

    A later run fetches what was published since; one that was broken off goes on where it was. Searches of FOLDER go on
    meanwhile. Then point gl.search at it: geodes_lab.catalog.profiles.local.url, or gl.search(…, url=FOLDER).

    Example: geodes-lab harvest geodes ~/catalogue --collection PEPS_S2_L1C
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from geodes_lab.catalog.lookup import harvested

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        try:
            outcomes = harvested(profile, folder, list(wanted), anew=anew, tell=tell)
        except (GeodesError, OSError) as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(o) for o in outcomes], indent=1))
        return
    for o in outcomes:
        click.echo(f"{o.collection}: {o.found} new, {o.total} in all.")
        if o.counted != o.total:
            click.echo(
                f"  {profile} counts {o.counted}: `geodes-lab harvest {profile} {folder} --anew` makes them equal."
            )


@main.command()
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
                    click.style(f"{finding.state:10}", colours[finding.state]) + f"{finding.fact}: {finding.text}"
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
