"""``geodes-lab env``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from geodes_lab.cli.arguments import failing
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
def create(name: str, source: str | None) -> None:
    """Make the environment NAME with a kernel in the launcher, and install what a file names.

    Example: geodes-lab env create storms --from requirements.txt
    """
    from geodes_lab.environments import kernel
    from geodes_lab.environments.overlay import Overlay

    with failing():
        overlay = Overlay.named(name).make()
        if source:
            click.echo(shown(overlay.install(_requirements(Path(source)))))
        kernel.write(overlay, _lab_kernel())
    click.echo(f"The kernel '{name} (over GEODES)' is now in the launcher: reload the page if you do not see it.")


@env.command("list")
def list_() -> None:
    """Say which environments there are, what they have, and what stands before another version of the lab's."""
    from geodes_lab.environments.overlay import environments

    for one in environments():
        own, instead = one.own(), one.instead()
        click.echo(f"{one.name}: {len(own)} package{'' if len(own) == 1 else 's'} of its own, in {one.folder}")
        for name, (version, labs) in instead.items():
            click.echo(shown(f"  {name} {version} instead of the lab's {labs}"))
        for python in one.left_behind():
            click.echo(f"  packages installed for {python} are not visible to this Python: install them again")


@env.command()
@click.argument("name")
@click.confirmation_option(prompt="Remove the environment with all its packages?")
def remove(name: str) -> None:
    """Remove the environment NAME with its kernel."""
    from geodes_lab.environments import kernel
    from geodes_lab.environments.overlay import Overlay

    with failing():
        overlay = Overlay.named(name)
        if not overlay.folder.parent.is_dir():
            raise GeodesError(f"There is no environment {name}: list yours with `geodes-lab env list`.")
        kernel.remove(overlay)
        overlay.remove()


def _requirements(path: Path) -> list[str]:
    """Arguments of pip for a file; of a file for conda, the packages that it leaves to pip."""
    if path.suffix not in (".yml", ".yaml"):
        return ["-r", str(path)]
    import yaml

    try:
        listed = yaml.safe_load(path.read_text()).get("dependencies", [])
        plain = [str(entry) for entry in listed if isinstance(entry, str)]
        pip = [str(p) for entry in listed if isinstance(entry, dict) for p in entry.get("pip", [])]
    except (yaml.YAMLError, AttributeError, TypeError, OSError) as error:
        raise GeodesError(f"{path} is not a valid environment.yml ({' '.join(str(error).split())[:200]}).") from None
    if conda := [entry for entry in plain if entry.partition("=")[0].split(">")[0].strip() not in ("python", "pip")]:
        raise GeodesError(
            f"{path} lists conda packages ({', '.join(conda[:5])}), and the lab installs with pip only: list them "
            "under `pip:`, or write a requirements.txt."
        )
    return pip


def _lab_kernel() -> Path:
    """The folder of the lab's kernel, as the server's Jupyter finds it."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        folder = Path(KernelSpecManager().get_kernel_spec("geodes").resource_dir)
        json.loads((folder / "kernel.json").read_text())
    except (NoSuchKernel, OSError, ValueError):
        raise GeodesError("The kernel of the lab was not found: run this command in a terminal of the lab.") from None
    return folder
