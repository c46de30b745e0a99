"""``geodes-lab harvest``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from geodes_lab import extras
from geodes_lab.errors import GeodesError, shown

if TYPE_CHECKING:
    from rich.progress import TaskID


@click.command()
@click.argument("profile")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--collection",
    "wanted",
    multiple=True,
    help="One collection; may be given several times. By default, all collections.",
)
@click.option("--anew", is_flag=True, help="Fetch all again, not only what was published since the last time.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def harvest(profile: str, folder: Path, wanted: tuple[str, ...], anew: bool, as_json: bool) -> None:
    """Copy the catalogue PROFILE into FOLDER, as stac-geoparquet.

    A later run downloads what was published since; an interrupted one continues where it stopped. Searches of FOLDER
    can continue meanwhile. Then use it in gl.search: geodes_lab.catalog.profiles.local.url, or gl.search(…,
    url=FOLDER).

    Example: geodes-lab harvest geodes ~/catalogue --collection PEPS_S2_L1C
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    try:
        with extras.needed("geodes-lab harvest"):
            from geodes_lab.catalog.harvesting import harvested
    except GeodesError as error:
        raise click.ClickException(str(error)) from error

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(shown(name), total=total)
            progress.update(tasks[name], completed=done, total=total)

        try:
            outcomes = harvested(profile, folder, list(wanted), anew=anew, tell=tell)
        except (GeodesError, OSError) as error:
            raise click.ClickException(shown(str(error))) from error
    if as_json:
        click.echo(json.dumps([asdict(o) for o in outcomes], indent=1))
        return
    for o in outcomes:
        click.echo(f"{shown(o.collection)}: {o.found} new, {o.total} in all.")
        if o.counted != o.total:
            click.echo(
                f"  {profile} has {o.counted}: run `geodes-lab harvest {profile} {folder} --anew` to get the same "
                "Items."
            )
