"""TiTiler as it comes: its factory for STAC Items with rio-tiler's own reader, GDAL below; ``… FOLDER`` prints its port."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Annotated

import pystac
import uvicorn
from fastapi import FastAPI, Query
from rio_tiler.io.stac import STACReader
from titiler.core.factory import MultiBaseTilerFactory

from tests.benchmarks.data import stage


class Reader(STACReader):
    """Items of this benchmark, by name: TiTiler would fetch them, which is not measured."""

    def __init__(self, input: str, **more: object) -> None:
        known = _ITEMS[input]
        super().__init__(f"memory://{input}", item=known, **more)


def path(url: Annotated[str, Query()]) -> str:
    return url


_ITEMS: dict[str, pystac.Item] = {}


def main() -> None:
    for name, document in json.loads(Path(sys.argv[1]).read_text()).items():
        _ITEMS[name] = pystac.Item.from_dict(document)
    app = FastAPI()
    factory = MultiBaseTilerFactory(
        reader=Reader, path_dependency=path, environment_dependency=lambda: dict(stage.GDAL)
    )
    app.include_router(factory.router)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    print(port, flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


if __name__ == "__main__":
    main()
