"""``geodes-lab save``."""

from __future__ import annotations

import json
from typing import Any

import click

from geodes_lab.cli.arguments import cube, failing, opened, progress
from geodes_lab.errors import shown


@click.command()
@cube
@click.option("--every", metavar="PERIOD", help="Reduce the times to one per period: 1MS is a month, 10D ten days.")
@click.option("--reduce", "way", type=click.Choice(["median", "mean", "min", "max"]), default="median",
              show_default=True, help="How to combine the times of a period.")  # fmt: skip
@click.option(
    "--to", "target", required=True, metavar="PATH", help="What to write: ….zarr, ….nc, or ….tif for one band."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing result.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written and read as JSON.")
def save(
    products: tuple[str, ...], every: str | None, way: str, target: str, overwrite: bool, as_json: bool, **options: Any
) -> None:
    """Compute a cube of PRODUCTS and write it as Zarr, NetCDF or COG.

    PRODUCTS are paths and URLs, or files of Items as `search --json` writes them (-: standard input). If something
    cannot be read, it exits with 1 and leaves nothing behind; with --fill the missing part becomes no data and is
    reported.

    \b
    Examples:
      geodes-lab save found.json --bands red,nir --mask cloud --every 1MS --to months.zarr
      geodes-lab save scene.zip --bands red --bbox 1.7,43.5,1.9,43.6 --to red.tif
    """
    from geodes_lab.planning.report import report
    from geodes_lab.results.save import save as saved

    with failing():
        data = opened(products, options)
        result = getattr(data.resample(time=every), way)(keep_attrs=True) if every else data
        if target.endswith((".tif", ".tiff")) and len(result.data_vars) == 1:
            result = next(iter(result.data_vars.values()))
        with progress():
            written = saved(result, target, overwrite=overwrite)
        outcome = report(data)
    if as_json:
        table = outcome.table.reset_index().to_dict(orient="records")
        click.echo(json.dumps({"path": target, "sizes": dict(written.sizes), "products": table}, indent=1, default=str))
        return
    click.echo(shown(f"{target}: {', '.join(map(str, written.data_vars))}, {dict(written.sizes)}"))
    lost = outcome.table.query("filled > 0 or dropped")
    for name, row in lost.iterrows():
        click.echo(shown(f"  {name}: {row['filled']} windows filled. {row['why']}"), err=True)
