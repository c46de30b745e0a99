"""The command line: ``geodes-lab …``, a file for each command."""

from __future__ import annotations

import click

from geodes_lab import __version__
from geodes_lab.cli.acquire import acquire
from geodes_lab.cli.convert import convert
from geodes_lab.cli.doctor import doctor
from geodes_lab.cli.download import download
from geodes_lab.cli.env import env
from geodes_lab.cli.harvest import harvest
from geodes_lab.cli.lab import lab
from geodes_lab.cli.mcp import mcp
from geodes_lab.cli.open import open_
from geodes_lab.cli.plan import plan
from geodes_lab.cli.run import run
from geodes_lab.cli.runner import runner
from geodes_lab.cli.sample import sample
from geodes_lab.cli.save import save
from geodes_lab.cli.search import search


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """The datalab of GEODES.

    \b
    Examples:
      geodes-lab lab                                          start it, and print its link
      geodes-lab search PEPS_S2_L1C --tile 31TCJ --json > found.json
      geodes-lab open PRODUCT.zip                             print what is in it
      geodes-lab plan found.json --bands red,nir              what a cube would cost
      geodes-lab save found.json --bands red --to red.zarr    compute and keep it
      geodes-lab download found.json --to products            take products with you, verified
      geodes-lab acquire region.yaml --watch                  keep a datalake of a region up to date
      geodes-lab run floods.ipynb --param cloud=20            a notebook without a browser
      geodes-lab env create storms --from requirements.txt    a kernel with packages of your own
      geodes-lab mcp --config                                 how an assistant finds the lab
    """


_COMMANDS = (
    lab, sample, search, open_, plan, save, download, convert, acquire, harvest, run, runner, doctor, env, mcp,
)  # fmt: skip
for command in _COMMANDS:
    main.add_command(command)
