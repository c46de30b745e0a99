"""``geodes-lab sample``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from geodes_lab.errors import GeodesError


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--force", is_flag=True, help="Write it anew even if it is there.")
def sample(folder: Path, force: bool) -> None:
    """Write the sample datalake into FOLDER.

    Products in their exact public formats with known values, their catalogue in GEODES's form, and the truth that they
    are made from. About a minute, 240 MB.

    Example: geodes-lab sample ~/geodes-sample
    """
    from geodes_lab.sample.edition import is_complete

    if is_complete(folder) and not force:
        click.echo(f"{folder} already contains the sample datalake.")
        return
    from rich.progress import Progress

    from geodes_lab.sample import build

    click.echo(f"Writing the sample datalake into {folder}: a minute on two cores, 240 MB.")
    with Progress(disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("Writing the sample datalake", total=None)

        def tell(done: int, total: int, name: str) -> None:
            progress.update(task, completed=done, total=total, description=name[:44])

        try:
            build.write(folder, tell)
        except (GeodesError, OSError) as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"The sample datalake is in {folder}.")
