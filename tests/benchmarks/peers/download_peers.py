"""EODAG's and CDSETool's ways to download, in an environment of their own: `tests/benchmarks/download.py` runs this file in it.

Both are given the products, as a search would give them, and download by their own code, 4 at the same time. CDSETool's
address of the service is a constant of its own: it is replaced by the stand-in's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def clocks() -> tuple[float, float]:
    """Wall and CPU seconds of this process."""
    times = os.times()
    return time.perf_counter(), times.user + times.system


def eodag(url: str, names: list[str], folder: str, at_once: int) -> tuple[float, float]:
    """Wall and CPU seconds of EODAG's plug-in for HTTP, which GEODES's and CDSE's providers use."""
    from eodag import EOProduct, SearchResult
    from eodag.config import PluginConfig
    from eodag.plugins.download.http import HTTPDownload

    config = PluginConfig.from_mapping({"type": "HTTPDownload", "extract": False, "output_dir": folder})
    plugin = HTTPDownload("standin", config)
    products = []
    for name in names:
        about = {"id": name, "title": name, "geometry": "POINT (1 43)", "eodag:download_link": f"{url}/{name}.zip"}
        product = EOProduct("standin", about | {"order:status": "succeeded"})
        product.register_downloader(plugin, None)
        products.append(product)
    began = clocks()
    with ThreadPoolExecutor(at_once) as pool:
        paths = plugin.download_all(SearchResult(products), executor=pool, extract=False, output_dir=folder)
    ended = clocks()
    assert len(paths) == len(names)
    return ended[0] - began[0], ended[1] - began[1]


def cdsetool(url: str, names: list[str], folder: str, at_once: int) -> tuple[float, float]:
    """Wall and CPU seconds of CDSETool."""
    import requests
    from cdsetool import download

    class Open:
        """Credentials of nobody: the stand-in needs none."""

        def get_session(self) -> requests.Session:
            return requests.Session()

    download._get_feature_url = lambda feature: f"{url}/{feature['Name']}.zip"
    features = [{"Id": name, "Name": name, "Collection": {"Name": "SENTINEL-2"}} for name in names]
    options = {"concurrency": at_once, "credentials": Open(), "tmpdir": folder}
    began = clocks()
    done = list(download.download_features(features, folder, options))
    ended = clocks()
    assert len(done) == len(names)
    assert all(done)
    return ended[0] - began[0], ended[1] - began[1]


if __name__ == "__main__":
    who, *rest = json.loads(sys.argv[1])
    print(*{"eodag": eodag, "cdsetool": cdsetool}[who](*rest))
