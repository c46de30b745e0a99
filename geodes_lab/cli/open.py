"""``geodes-lab open``."""

from __future__ import annotations

import json
from typing import Any

import click

from geodes_lab.cli.arguments import failing, listed
from geodes_lab.errors import shown


@click.command("open")
@click.argument("product")
@click.option("--json", "as_json", is_flag=True, help="The groups and their variables as JSON.")
def open_(product: str, as_json: bool) -> None:
    """Print what PRODUCT contains, as a tree; its metadata are read, no pixel.

    PRODUCT is a path or URL (a zip, a SAFE folder, a raster, a Zarr store), or a file with one Item.

    \b
    Examples:
      geodes-lab open S2A_MSIL1C_20210605T105031_N0300_R051_T31TCJ_20210605T125936.zip
      geodes-lab open s3://sentinel1-grd/2021/06/06/S1A_IW_GRDH_….zip
      geodes-lab search PEPS_S2_L1C --limit 1 --json | geodes-lab open -
    """
    from geodes_lab.products import open_product

    with failing():
        (first, *others) = listed([product]) or [None]
        if first is None or others:
            raise click.ClickException(f"{product} contains {len(others) + 1 if first else 0} Items: give one product.")
        tree = open_product(first)
    text = json.dumps(_told(tree), indent=1, ensure_ascii=False) if as_json else str(tree)
    click.echo("\n".join(map(shown, text.split("\n"))))  # names and attributes come from the product


def _told(tree: Any) -> dict[str, Any]:
    """Return the groups by path, each with its variables."""
    return {
        node.path: {
            str(name): {
                "dims": [str(d) for d in v.dims],
                "shape": list(v.shape),
                "dtype": str(v.dtype),
                **{k: str(v.attrs[k]) for k in ("long_name", "units") if k in v.attrs},
            }
            for name, v in node.data_vars.items()
        }
        for node in tree.subtree
    }
