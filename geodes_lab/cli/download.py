"""``geodes-lab download``."""

from __future__ import annotations

import json

import click

from geodes_lab.cli.arguments import Box, Words, failing, listed
from geodes_lab.errors import shown


@click.command()
@click.argument("products", nargs=-1, required=True)
@click.option("--to", "directory", required=True, metavar="DIRECTORY", help="Where they go; made if needed.")
@click.option("--bands", type=Words(), help="Only the files of these bands, as a SAFE folder: red,nir or vv.")
@click.option("--bbox", type=Box(), help="Of the images, only the tiles that touch this box; --bbox=-1.5,43,0,44.")
@click.option("--geometry", metavar="FILE", help="An area instead of --bbox.")
@click.option("--only", type=click.Choice(["metadata"]), help="Only the metadata, as a folder.")
@click.option("--parallel", type=click.IntRange(1, 32), default=4, show_default=True, help="Products at the same time.")
@click.option("--on-quota", type=click.Choice(["stop", "wait"]), default="stop", show_default=True,
              help="What to do when the service's quota is used up.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="What became of each product, as JSON.")
def download(
    products: tuple[str, ...],
    directory: str,
    bands: list[str] | None,
    bbox: tuple[float, float, float, float] | None,
    geometry: str | None,
    only: str | None,
    parallel: int,
    on_quota: str,
    as_json: bool,
) -> None:
    """Download PRODUCTS, whole or in part; each gets its name when size and checksum are right.

    PRODUCTS are paths and URLs, or files of Items as `search --json` writes them (-: standard input). Call it again
    after an interruption: what is there is kept, and what has begun is continued. If a product does not arrive, the
    others do, and it exits with 1.

    \b
    Examples:
      geodes-lab search PEPS_S2_L1C --tile 31TCJ --json | geodes-lab download - --to products
      geodes-lab download found.json --to products --bands red,nir
      geodes-lab download found.json --to site --bands red,nir --bbox 1.2,43.4,1.5,43.6
    """
    from geodes_lab.downloading.download import download as downloaded
    from geodes_lab.downloading.report import DownloadFailed

    with failing():
        error = None
        try:
            report = downloaded(
                listed(products),
                directory,
                bands,
                bbox=bbox,
                geometry=geometry,
                only=only,  # type: ignore[arg-type]
                parallel=parallel,
                on_quota=on_quota,  # type: ignore[arg-type]
            )
        except DownloadFailed as failed:
            report, error = failed.report, failed
        if as_json:
            rows = report.table.reset_index().to_dict(orient="records")
            click.echo(json.dumps({"products": rows, "seconds": report.seconds, "quota": report.quota}, indent=1))
        else:
            click.echo("\n".join(shown(line) for line in repr(report).splitlines()))
        if error is not None:
            raise error
