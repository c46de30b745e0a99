"""A request that the gate refuses, in the words of S3."""

from __future__ import annotations

from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response


class Refusal(Exception):
    """A request that is not answered with an object.

    Parameters
    ----------
    status
        Of HTTP.
    code
        The code of S3.
    sentence
        The reason, for the person.
    """

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code = status, code

    def response(self, request: Request) -> Response:
        """Return the answer: S3's XML, or the status alone."""
        if request.method == "HEAD" or self.status == 304:
            return Response(status_code=self.status)
        body = (
            '<?xml version="1.0" '
            f'encoding="UTF-8"?><Error><Code>{self.code}</Code><Message>{escape(str(self))}</Message><Resource>{escape(request.url.path)}</Resource></Error>'
        )
        return Response(body, self.status, media_type="application/xml")
