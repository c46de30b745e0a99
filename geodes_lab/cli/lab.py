"""``geodes-lab lab``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import geodes_lab


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="On 127.0.0.1; 0: any free one."
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for all state of the lab; by default .lab.",
)
@click.option(
    "--datalake", type=click.Choice(["files", "s3"]), default="files", show_default=True, help="How the sample is read."
)
def lab(port: int, state: Path | None, datalake: str) -> None:
    """Start the whole lab on this machine, and print its link; Ctrl-C stops it.

    Works only in a checkout of the project, because it needs hub/.

    \b
    Examples:
      geodes-lab lab
      geodes-lab lab --port 0 --datalake s3
    """  # fmt: skip
    launcher = Path(geodes_lab.__file__).resolve().parents[1] / "hub" / "lab.py"
    if not launcher.exists():
        raise click.ClickException(
            "The hub is not installed with the package: clone the project, and run `make lab` or this command there."
        )
    arguments = [sys.executable, "-m", "hub.lab", "--port", str(port), "--datalake", datalake]
    arguments += ["--state", str(state)] if state else []
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # the launcher itself, so that Ctrl-C and kill reach it
