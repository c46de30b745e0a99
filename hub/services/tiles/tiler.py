"""The process that parses products: TiTiler's factory with our reader, behind a socket that only the service reaches.

``python -m hub.services.tiles.tiler SOCKET``. Each request brings the Items that it is about; nothing here knows who
asks. It runs without the hub's token and without keys; see `hub.services.tiles.workers`.
"""

from __future__ import annotations

import gc
import hashlib
import logging
import os
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
import uvicorn
from anyio import to_thread
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from morecantile import tms
from morecantile.defaults import TileMatrixSets
from rio_tiler.errors import PointOutsideBounds, TileOutsideBounds
from starlette.types import ASGIApp, Receive, Scope, Send
from titiler.core.factory import TilerFactory, TMSFactory
from titiler.core.resources.enums import ImageType
from titiler.extensions.wmts import wmtsExtension

from geodes_lab.errors import GeodesError
from geodes_lab.tiling import colours, drawing, presets
from geodes_lab.tiling.reader import LabReader
from geodes_lab.tiling.scene import Scene
from geodes_lab.xyz import colormaps
from hub.services.tiles import parameters, sandbox
from hub.services.tiles.workers import AT_ONCE

_SETS = ("WebMercatorQuad", "WGS1984Quad", "WorldCRS84Quad", "EuropeanETRS89_LAEAQuad")
_SCENES = 256
_log = logging.getLogger("tiler")


class Scenes:
    """The Items of the last requests, as the reader takes them."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Scene] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, body: bytes) -> Scene:
        """Return the scene of a request's Items."""
        key = hashlib.blake2b(body, digest_size=16).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        scene = Scene(orjson.loads(body))
        with self._lock:
            self._known[key] = scene
            while len(self._known) > _SCENES:
                self._known.popitem(last=False)
        return scene


def _encoded(
    image: Any, output_format: ImageType | None = None, colormap: str | None = None, **render: Any
) -> tuple[bytes, str]:
    output = {"jpg": "jpeg", "tiff": "tif"}.get(output_format.value, output_format.value) if output_format else None
    return drawing.picture(image, output, colormap=colormap, **render)


def made() -> FastAPI:
    """Create the application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    scenes = Scenes()

    async def path(request: Request) -> Scene:
        return scenes.of(await request.body())

    sets = TileMatrixSets({name: tms.get(name) for name in _SETS})
    factory = TilerFactory(
        reader=LabReader,
        path_dependency=path,
        layer_dependency=parameters.LayerParameters,
        dataset_dependency=parameters.Nothing,
        tile_dependency=parameters.Nothing,
        img_preview_dependency=parameters.SizeParameters,
        stats_dependency=parameters.StatisticsParameters,
        histogram_dependency=parameters.HistogramParameters,
        process_dependency=parameters.no_process,
        colormap_dependency=parameters.colour_map,
        render_dependency=parameters.RenderParameters,
        render_func=_encoded,
        get_renders=lambda reader: presets.presets(reader.input),
        supported_tms=sets,
        add_part=False,
        add_viewer=False,
        extensions=[wmtsExtension(layer_identifier_provider=lambda scene: scene.items[0].id)],
    )
    app.include_router(factory.router)
    app.include_router(TMSFactory(supported_tms=sets).router)

    @app.get("/presets.json")
    def named(scene: Scene = Depends(path)) -> dict[str, Any]:  # noqa: B008  (FastAPI's way, for a function in here)
        return presets.presets(scene)

    @app.get("/legend.{kind}")
    def legend(
        kind: Literal["png", "json"],
        layer: Annotated[parameters.LayerParameters, Depends()],
        render: Annotated[parameters.RenderParameters, Depends()],
        colormap: Annotated[str | None, Depends(parameters.colour_map)],
        scene: Scene = Depends(path),  # noqa: B008
    ) -> Response:
        return _legend(LabReader(scene, layer=layer.as_dict()["layer"]), kind, render.as_dict(), colormap)

    _refusals(app)
    return app


def _legend(reader: LabReader, kind: str, render: dict[str, Any], colormap: str | None) -> Response:
    classes, ranges = reader.legend(render["ranges"], is_auto=render["is_auto"] or colormap is not None)
    name = colormap or "greys_r"
    if kind == "json":
        listed = [{"value": n, "title": c.title, "color": f"#{bytes(c.colour[:3]).hex()}"} for n, c in classes.items()]
        return JSONResponse({"classes": listed} if classes else {"colormap_name": name, "ranges": ranges})
    if not classes and len(ranges) > 1:
        raise GeodesError("A legend is for one band or expression: legend.json has the ranges of several.")
    title = ", ".join(reader.layer.titles)
    drawn = colours.legend_of(classes) if classes else colormaps.legend(name, *ranges[0], title, render["gamma"])
    return Response(drawn, media_type="image/png")


def _refusals(app: FastAPI) -> None:
    """Answer each error with one sentence."""

    def refused(status: int) -> Any:
        def answer(_: Request, error: Exception) -> JSONResponse:
            return JSONResponse({"detail": str(error)[:2000]}, status)

        return answer

    def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])[:60]
        return JSONResponse({"detail": f"{name}: {str(first['msg'])[:300]}."}, 400)

    def failed(_: Request, error: Exception) -> JSONResponse:
        _log.error("a request failed", exc_info=error)
        return JSONResponse({"detail": f"This cannot be drawn ({type(error).__name__})."}, 500)

    app.add_exception_handler(GeodesError, refused(422))
    app.add_exception_handler(TileOutsideBounds, refused(404))
    app.add_exception_handler(PointOutsideBounds, refused(404))
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, failed)


class Placed:
    """The application, at the address that a request says: TiTiler's links begin there.

    Parameters
    ----------
    application
        The application.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http":
            to_thread.current_default_thread_limiter().total_tokens = AT_ONCE
            headers = dict(scope["headers"])
            root = headers.get(b"x-root", b"").decode()
            scheme = headers.get(b"x-scheme", b"http").decode()
            scope = {**scope, "root_path": root, "path": f"{root}{scope['path']}", "scheme": scheme}
        await self._application(scope, receive, send)


def main() -> None:
    """Be the process."""
    logging.basicConfig(level=logging.WARNING, format="[%(name)s] %(levelname)s %(message)s")
    application = Placed(made())
    port = urlsplit(os.environ["DASK_GEODES_LAB__DATALAKE__ENDPOINT"]).port or 80
    folders = [os.environ["DASK_GEODES_LAB__CACHE__FOLDER"], str(Path(sys.argv[1]).parent)]
    if not sandbox.enter(folders, [port]):
        _log.warning("This kernel has no Landlock: the tiler has the rights of its user.")
    gc.collect()
    gc.freeze()  # what is imported stays: to look through it takes 4 % of the time of tiles
    # The address that people see is said by each request.
    uvicorn.run(
        application, uds=sys.argv[1], log_level="error", access_log=False, lifespan="off", timeout_keep_alive=60
    )


if __name__ == "__main__":
    main()
