"""The gate: requests of S3, each held against the rights of the person whose token it carries."""

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
_PATIENCE = 60.0  # seconds for one
_log = logging.getLogger("data")


class Gate:
    """Answers GET and HEAD of objects, and lists; it changes nothing.

    Parameters
    ----------
    lab
        The operator's file: which places are restricted, and to whom.
    lake
        What is behind.
    hub
        Who asks.
    tally
        Who has read how much.
    """

    def __init__(self, lab: Lab, lake: Lake, hub: Hub, tally: Tally) -> None:
        self.lab, self.lake, self.hub, self.tally = lab, lake, hub, tally

    async def answer(self, request: Request) -> Response:
        """Answer a request."""
        try:
            person = await self._person(request)
            # As it came, not as a framework understood it: what is compared is what is asked for.
            bucket, key = _place(request)
            if person.name in self.tally.refused:
                raise Refusal(403, "AccessDenied", self.tally.refused[person.name])
            if not key:
                return await self._list(person, bucket, request)
            self._hold(person, f"{bucket}/{key}")
            try:  # a link in a folder is another name of a place
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
                "Who asks is not known: AWS_SESSION_TOKEN is your server's own JUPYTERHUB_API_TOKEN in the lab.",
            )
        person = self.hub.known(token)
        if person is None:
            person = await run_in_threadpool(self.hub.who, token)
        if not person.name:
            raise Refusal(403, "InvalidToken", "The token is not valid, or no longer: that of a server ends with it.")
        return person

    def _hold(self, person: Person, place: str) -> None:
        """Refuse what the person may not read; the sentence does not say whether the object is there."""
        name = refusing(person.groups, place, self.lab)
        if name:
            _log.warning("%s refused %r of %s", person.name, place, name)
            who = " or ".join(self.lab.restricted[name].groups)
            raise Refusal(
                403,
                "AccessDenied",
                f"{person.name} may not read {name}: it is for members of {who}. Ask {self.lab.contact}.",
            )

    async def _object(self, person: Person, bucket: str, key: str, request: Request) -> Response:
        head = request.method == "HEAD"
        try:
            found = await self.lake.get(bucket, key, dict(request.headers), head)
        except NoObject:
            raise Refusal(404, "NoSuchKey", f"There is no {bucket}/{key}.") from None
        except NotAsAsked as error:
            codes = {304: "NotModified", 412: "PreconditionFailed", 416: "InvalidRange"}
            raise Refusal(error.status, codes[error.status], "The object is not as the request wants it.") from None
        except Away as error:
            _log.error("the datalake: %s", error)
            raise Refusal(503, "ServiceUnavailable", "The datalake does not answer the gate.") from None
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Length": str(found.end - found.start),
            "Last-Modified": format_datetime(found.changed, usegmt=True),
            "Content-Type": "application/octet-stream",
            **({"ETag": found.tag} if found.tag else {}),
        }
        if found.body is None:
            return Response(headers=headers)
        is_part = "range" in request.headers
        if is_part:
            headers["Content-Range"] = f"bytes {found.start}-{found.end - 1}/{found.size}"
        body = self._counted(person, self._collection(f"{bucket}/{key}"), found)
        return StreamingResponse(body, 206 if is_part else 200, headers)

    async def _counted(self, person: Person, collection: str, found: Object) -> AsyncIterator[bytes]:
        assert found.body is not None
        async for chunk in found.body:
            self.tally.add(person.name, collection, len(chunk))
            yield bytes(chunk)

    def _collection(self, place: str) -> str:
        for name, _ in holding(place, self.lab):
            return name
        known = self.lab.datalake.collections
        within = [p for p in known if place == p.rstrip("/") or place.startswith(f"{p.rstrip('/')}/")]
        return known[max(within, key=len)] if within else place.partition("/")[0]

    async def _list(self, person: Person, bucket: str, request: Request) -> Response:
        """ListObjectsV2; what the person may not read is not in it."""
        asked = request.query_params
        prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "") == "/"
        after = asked.get("continuation-token") or asked.get("start-after", "")
        most = min(
            int(said)
            if (said := asked.get("max-keys", "")).isascii() and said.isdecimal() and len(said) < 10
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
            raise Refusal(503, "SlowDown", f"{bucket} has too much to list: ask below a longer prefix.") from None
        except Exception as error:
            _log.error("the datalake: %s", error)
            raise Refusal(503, "ServiceUnavailable", "The datalake does not answer the gate.") from None
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
        """List, for as long as anybody waits for it."""
        async with asyncio.timeout(_PATIENCE):
            async for told in self.lake.names(bucket, prefix, after, delimiter):
                yield told


def made(lab: Lab, lake: Lake, hub: Hub, tally: Tally) -> Starlette:
    """Make the application; S3's clients speak to its root, since some know no endpoint below another path."""
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
        # Each may be a long download.
        middleware=[Middleware(Shares, hub=hub), Middleware(Bounded, body=0, at_once=1024)],
    )


def _place(request: Request) -> tuple[str, str]:
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    if raw.partition(b"?")[0] in (b"", b"/"):
        raise Refusal(403, "AccessDenied", "The gate lists no buckets.")
    try:
        return bucket_and_key(raw)
    except ValueError as error:
        raise Refusal(400, "InvalidURI", str(error)) from None
