"""The examples of the documentation run on the sample datalake, as they are printed."""

from __future__ import annotations

import re
import warnings

import dask
from conftest import TOP


def test_examples_of_the_products_run(on_disk):
    text = (TOP / "docs" / "products.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 6
    names: dict[str, object] = {}
    with dask.config.set(scheduler="sync"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            exec(compile(block, "docs/products.md", "exec"), names)


def test_every_collection_of_the_sample_is_in_the_table(on_disk):
    text = (TOP / "docs" / "products.md").read_text()
    patterns = [re.escape(c).replace(r"\*", r"\w*") for c in re.findall(r"(?:PEPS|THEIA|SWH)_[\w*-]+", text)]
    for folder in (on_disk / "catalog").iterdir():
        if folder.is_dir() and folder.name.startswith(("PEPS", "THEIA", "SWH")):
            assert any(re.match(p, folder.name) for p in patterns), folder.name
