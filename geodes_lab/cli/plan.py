"""``geodes-lab plan``."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from typing import Any

import click

from geodes_lab.cli.arguments import cube, failing, opened


@click.command()
@cube
@click.option("--json", "as_json", is_flag=True, help="The plan as JSON.")
def plan(products: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Estimate what a cube of PRODUCTS would cost: requests, bytes, work, memory, time. No pixel is read.

    PRODUCTS are paths and URLs, or files of Items as `search --json` writes them (-: standard input).

    \b
    Examples:
      geodes-lab plan found.json --bands red,nir
      geodes-lab search PEPS_S2_L1C --tile 31TCJ --json | geodes-lab plan - --bands red --resolution 60
    """
    from geodes_lab.planning.plan import LargePlan
    from geodes_lab.planning.plan import plan as planned

    with failing(), warnings.catch_warnings():
        warnings.simplefilter("ignore", LargePlan)  # its advice is printed
        estimate = planned(opened(products, options))
    click.echo(json.dumps(asdict(estimate), indent=1) if as_json else str(estimate))
