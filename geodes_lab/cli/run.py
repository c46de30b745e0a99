"""``geodes-lab run``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from geodes_lab import extras
from geodes_lab.cli.arguments import failing
from geodes_lab.errors import GeodesError
from geodes_lab.util import progress


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--param", "-p", "words", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--to", type=click.Path(path_type=Path), help="The executed notebook; by default NOTEBOOK-run.ipynb.")
@click.option("--kernel", default="", help="The name of a kernel; by default the one that the notebook names.")
@click.option("--job", is_flag=True, help="Begin a job that goes on without this terminal, and print its id.")
@click.option("--collection", help="With --job: your collection in the catalogue for the executed notebook.")
@click.option("--json", "as_json", is_flag=True, help="The place of the notebook, or the id of the job, as JSON.")
def run(
    notebook: Path,
    words: tuple[str, ...],
    to: Path | None,
    kernel: str,
    job: bool,
    collection: str | None,
    as_json: bool,
) -> None:
    """Run NOTEBOOK from top to bottom in a new kernel, and keep it with its outputs.

    Parameters are the names that the cell with the tag "parameters" sets; their values are typed by the defaults there.
    If a cell fails, the sentence names it, the outputs so far are in ….failed.ipynb, and it exits with 1.

    \b
    Examples:
      geodes-lab run floods.ipynb --param tile=31TCJ --param cloud=20
      geodes-lab run floods.ipynb -p 'dates=["2021-06", "2021-07"]' --to june.ipynb
      geodes-lab run floods.ipynb -p cloud=20 --job        as a job
    """
    with failing():
        with extras.needed("geodes-lab run"):
            from geodes_lab.batch.notebooks import document, execution, parameters, submission
        read, folder = document.read(notebook), notebook.expanduser().absolute().parent
        values = parameters.of_words(read, words)
        if job:
            if to is not None:
                raise GeodesError("The executed notebook of a job is among its results: leave out --to.")
            begun = submission.prepared(read, folder, values, kernel=kernel, collection=collection).start()
            click.echo(json.dumps({"job": begun.id}) if as_json else begun.id)
            return
        if collection is not None:
            raise GeodesError("Only the notebook of a job is published: add --job, or leave out --collection.")
        target = to or Path(f"{notebook.stem}-run.ipynb")
        if target.absolute() == notebook.absolute():
            raise GeodesError(f"{target} is the notebook itself: choose another name with --to.")
        parameters.put(read, values)
        name, bar = execution.chosen_kernel(read, kernel), progress.new(read.name)
        try:
            execution.run(read, name, folder, target, told=_silent if bar is None else bar.update)
        finally:
            if bar is not None:
                bar.end()
        click.echo(json.dumps({"notebook": str(target)}) if as_json else str(target))


def _silent(done: int, of: int) -> None:
    """Nobody looks."""
