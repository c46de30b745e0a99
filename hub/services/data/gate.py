"""The gate: S3 requests, each checked against the rights of the person whose token it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from email.utils import format_datetime
from xml.sax.saxutils import escape

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from geodes_lab.policy.lab import Lab
from geodes_lab.policy.people import holding, refusing
from geodes_lab.policy.places import bucket_and_key
from hub.services.bounds import Bounded
from hub.services.data.fair_shares import Shares, token_of
from hub.services.data.lake import Away, Lake, NoObject, NotAsAsked, Object
from hub.services.data.refusal import Refusal
from hub.services.data.tally import Tally
from hub.services.person import Hub, Person

_MOST = 1000  # names in a list
_PATIENCE = 60.0  # seconds for one list
_log = logging.getLogger("data")


class Gate:
    """Answers GET and HEAD of objects, and lists; it changes nothing.

    Parameters
    ----------
    lab
        The operator's file: which places are restricted, and to whom.
    lake
        The datalake.
    hub
        Identifies people.
    tally
        Counts who has read how much.
    """

    def __init__(self, lab: Lab, lake: Lake, hub: Hub, tally: Tally) -> None:
        self.lab, self.lake, self.hub, self.tally = lab, lake, hub, tally

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        try:
            person = await self._person(request)
            # The original path, before a framework decodes it: the checked path must be the requested one.
            bucket, key = _place(request)
            if person.name in self.tally.refused:
                raise Refusal(403, "AccessDenied", self.tally.refused[person.name])
            if not key:
                return await self._list(person, bucket, request)
            self._hold(person, f"{bucket}/{key}")
            try:  # a link in a folder is another name for a place
                self._hold(person, self.lake.real(bucket, key))
            except NoObject:
                raise Refusal(404, "NoSuchKey", f"There is no {bucket}/{key}.") from None
            return await self._object(person, bucket, key, request)
        except Refusal as refusal:
            return refusal.response(request)

    async def _person(self, request: Request) -> Person:
        token = token_of(request)
        if not token:
            raise Refusal(
                403,
                "AccessDenied",
                "The request has no known user: in the lab, AWS_SESSION_TOKEN must be your server's "
                "JUPYTERHUB_API_TOKEN.",
            )
        person = self.hub.known(token)
        if person is None:
            person = await run_in_threadpool(self.hub.who, token)
        if not person.name:
            raise Refusal(
                403,
                "InvalidToken",
                "The token is not valid, or has expired: the token of a server ends with the server.",
            )
        return person

    def _hold(self, person: Person, place: str) -> None:
        """Refuse what the person may not read; the message does not reveal whether the object exists."""
        name = refusing(person.groups, place, self.lab)
        if name:
            _log.warning("%s refused %r of %s", person.name, place, name)
            who = " or ".join(self.lab.restricted[name].groups)
            raise Refusal(
                403,
                "AccessDenied",
                f"{person.name} has no access to {name}: only members of {who} can read it. Ask {self.lab.contact}.",
            )

    async def _object(self, person: Person, bucket: str, key: str, request: Request) -> Response:
        head = request.method == "HEAD"
        try:
            s3_object = await self.lake.get(bucket, key, dict(request.headers), head)
        except NoObject:
            raise Refusal(404, "NoSuchKey", f"There is no {bucket}/{key}.") from None
        except NotAsAsked as error:
            codes = {304: "NotModified", 412: "PreconditionFailed", 416: "InvalidRange"}
            raise Refusal(
                error.status, codes[error.status], "The object does not meet the condition of the request."
            ) from None
        except Away as error:
            _log.error("the datalake: %s", error)
            raise Refusal(503, "ServiceUnavailable", "The datalake does not answer the lab's gate.") from None
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Length": str(s3_object.end - s3_object.start),
            "Last-Modified": format_datetime(s3_object.changed, usegmt=True),
            "Content-Type": "application/octet-stream",
            **({"ETag": s3_object.tag} if s3_object.tag else {}),
        }
        if s3_object.body is None:
            return Response(headers=headers)
        is_part = "range" in request.headers
        if is_part:
            headers["Content-Range"] = f"bytes {s3_object.start}-{s3_object.end - 1}/{s3_object.size}"
        body = self._counted(person, self._collection(f"{bucket}/{key}"), s3_object)
        return StreamingResponse(body, 206 if is_part else 200, headers)

    async def _counted(self, person: Person, collection: str, s3_object: Object) -> AsyncIterator[bytes]:
        assert s3_object.body is not None
        async for chunk in s3_object.body:
            self.tally.add(person.name, collection, len(chunk))
            yield bytes(chunk)

    def _collection(self, place: str) -> str:
        for name, _ in holding(place, self.lab):
            return name
        known = self.lab.datalake.collections
        within = [p for p in known if place == p.rstrip("/") or place.startswith(f"{p.rstrip('/')}/")]
        return known[max(within, key=len)] if within else place.partition("/")[0]

    async def _list(self, person: Person, bucket: str, request: Request) -> Response:
        """Answer ListObjectsV2, without entries that the person may not read."""
        parameters = request.query_params
        prefix, delimiter = parameters.get("prefix", ""), parameters.get("delimiter", "") == "/"
        after = parameters.get("continuation-token") or parameters.get("start-after", "")
        most = min(
            int(max_keys)
            if (max_keys := parameters.get("max-keys", "")).isascii() and max_keys.isdecimal() and len(max_keys) < 10
            else _MOST,
            _MOST,
        )
        shown: list[str] = []
        last, more = "", False
        try:
            async for name, size, changed in self._names(bucket, prefix, after, delimiter):
                if refusing(person.groups, f"{bucket}/{name.rstrip('/')}", self.lab):
                    continue
                if len(shown) == most:
                    more = True
                    break
                last = name
                if changed is None:
                    shown.append(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>")
                else:
                    when = changed.strftime("%Y-%m-%dT%H:%M:%S.000Z")
                    shown.append(
                        f"<Contents><Key>{escape(name)}</Key><LastModified>{when}</LastModified><Size>{size}</Size></Contents>"
                    )
        except NoObject:
            raise Refusal(404, "NoSuchBucket", f"There is no bucket {bucket}.") from None
        except TimeoutError:
            raise Refusal(503, "SlowDown", f"{bucket} has too many objects to list: use a longer prefix.") from None
        except Exception as error:
            _log.error("the datalake: %s", error)
            raise Refusal(503, "ServiceUnavailable", "The datalake does not answer the lab's gate.") from None
        following = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return Response(
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult '
            f'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{escape(bucket)}'
            f"</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount><MaxKeys>{most}</MaxKeys>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{following}{''.join(shown)}</ListBucketResult>",
            media_type="application/xml",
        )

    async def _names(
        self, bucket: str, prefix: str, after: str, delimiter: bool
    ) -> AsyncIterator[tuple[str, int, datetime | None]]:
        """List, for as long as the client waits."""
        async with asyncio.timeout(_PATIENCE):
            async for entry in self.lake.names(bucket, prefix, after, delimiter):
                yield entry


def made(lab: Lab, lake: Lake, hub: Hub, tally: Tally) -> Starlette:
    """Create the application; S3's clients use its root, because some support no endpoint with a path."""
    gate = Gate(lab, lake, hub, tally)

    @contextlib.asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        telling = asyncio.create_task(tally.keep_telling())
        yield
        telling.cancel()

    async def info(_: Request) -> Response:
        return Response("The gate before the datalake; S3's clients speak to its root.", media_type="text/plain")

    return Starlette(
        routes=[Route(hub.prefix, info), Route("/{path:path}", gate.answer, methods=["GET", "HEAD"])],
        lifespan=life,
        # Each request may be a long download.
        middleware=[Middleware(Shares, hub=hub), Middleware(Bounded, body=0, at_once=1024)],
    )


def _place(request: Request) -> tuple[str, str]:
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    if raw.partition(b"?")[0] in (b"", b"/"):
        raise Refusal(403, "AccessDenied", "The gate cannot list buckets: name one.")
    try:
        return bucket_and_key(raw)
    except ValueError as error:
        raise Refusal(400, "InvalidURI", str(error)) from None
