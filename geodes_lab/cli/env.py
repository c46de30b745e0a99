"""``geodes-lab env``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from geodes_lab.cli.arguments import failing
from geodes_lab.environments.requirements import requirements
from geodes_lab.errors import GeodesError, shown


@click.group()
def env() -> None:
    """Environments of your own over the lab's.

    What pip installs in a notebook or a terminal of the lab goes into the environment `default`, and is there in the
    next session. Others are kernels of their own in the launcher. The lab's own software is never changed.

    Example: geodes-lab env create storms --from requirements.txt
    """


@env.command()
@click.argument("name")
@click.option(
    "--from", "source", type=click.Path(exists=True, dir_okay=False), help="requirements.txt or environment.yml"
)
@click.option("--group", default="", help="a group of yours, whose members can start it")
def create(name: str, source: str | None, group: str) -> None:
    """Make the environment NAME with a kernel in the launcher, and install what a file names.

    Example: geodes-lab env create storms --from requirements.txt
    """
    from geodes_lab.environments import group_place, kernel
    from geodes_lab.environments.overlay import Overlay

    with failing():
        overlay = (group_place.named(name, group) if group else Overlay.named(name)).make()
        if source:
            click.echo(shown(overlay.install(requirements(Path(source)))))
        if not group:
            kernel.write(overlay, _lab_kernel())
    title = f"{name} ({group}, of {group_place.account(os.geteuid())})" if group else f"{name} (over GEODES)"
    whose = f" of all members of {group}" if group else ""
    click.echo(shown(f"The kernel '{title}' is in the launcher{whose}: reload the page if it is not seen."))


@env.command("list")
def list_() -> None:
    """Say which environments there are, what they have, and what of it no longer fits the lab."""
    from geodes_lab.environments import group_place, upgrade
    from geodes_lab.environments.overlay import environments

    for shared in group_place.shared():
        click.echo(
            shown(f"{shared.overlay.name}, shared in {shared.group} by {shared.owner}, in {shared.overlay.folder}")
        )
    for one in environments():
        own, instead = one.own(), one.instead()
        click.echo(f"{one.name}: {len(own)} package{'' if len(own) == 1 else 's'} of its own, in {one.folder}")
        for name, (version, labs) in instead.items():
            click.echo(shown(f"  {name} {version} instead of the lab's {labs}"))
        if sentence := upgrade.misfits(one):
            click.echo(shown(f"  {sentence}"))


@env.command()
@click.argument("name")
@click.option("--group", default="", help="the group that it is shared in")
@click.confirmation_option(prompt="Remove it with all its packages?")
def remove(name: str, group: str) -> None:
    """Remove the environment NAME with its kernel."""
    from geodes_lab.environments import group_place, kernel
    from geodes_lab.environments.overlay import Overlay

    with failing():
        overlay = group_place.named(name, group) if group else Overlay.named(name)
        if not overlay.folder.parent.is_dir():
            raise GeodesError(f"There is no environment {name}: `geodes-lab env list` names those that there are.")
        if not group:
            kernel.remove(overlay)
        overlay.remove()


def _lab_kernel() -> Path:
    """The folder of the lab's kernel, as the server's Jupyter finds it."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        folder = Path(KernelSpecManager().get_kernel_spec("geodes").resource_dir)
        json.loads((folder / "kernel.json").read_text())
    except (NoSuchKernel, OSError, ValueError):
        raise GeodesError("The kernel of the lab was not found: run this command in a terminal of the lab.") from None
    return folder
