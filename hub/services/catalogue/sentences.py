"""Each refusal is one sentence, which does not repeat the input, and does not fill the log."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from stac_fastapi.types.errors import ConflictError, InvalidQueryParameter, NotFoundError
from starlette.responses import JSONResponse

from geodes_lab.catalog.harvested.quota import QuotaExceeded
from geodes_lab.errors import GeodesError

_STATUS: dict[type[Exception], int] = {
    NotFoundError: 404, ConflictError: 409, InvalidQueryParameter: 400, QuotaExceeded: 507, GeodesError: 400,
}  # fmt: skip


def add(application: FastAPI) -> None:
    """Add the handlers for refusals."""

    def answer(request: Request, error: Exception) -> JSONResponse:
        status = next(s for kind, s in _STATUS.items() if isinstance(error, kind))
        sentence = str(error)[:2000]
        return JSONResponse({"code": type(error).__name__, "description": sentence, "detail": sentence}, status)

    def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if not isinstance(part, str) or len(part) < 60)[:200]
        sentence = f"The request is not valid: {place}: {str(first['msg'])[:200]}."
        return JSONResponse({"code": "InvalidRequest", "description": sentence, "detail": sentence}, 400)

    for kind in _STATUS:
        application.add_exception_handler(kind, answer)
    application.add_exception_handler(RequestValidationError, invalid)
