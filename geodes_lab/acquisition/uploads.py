"""Uploads to a bucket that nobody finishes: those of an object are found and ended, so that their parts take no space.

The client of the datalake (obstore) knows neither of the two requests, nor can it sign them: both are signed here, as
S3 describes it (Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import httpx

from geodes_lab import credentials, settings
from geodes_lab.credentials import tls
from geodes_lab.errors import GeodesError, shown
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.util.xml import parsed

log = logging.getLogger("geodes_lab.acquisition")
_LARGEST = 2**22  # bytes of a list: it has 1 000 uploads at most
_ROUNDS = 5  # lists that are asked for at most
_EMPTY = hashlib.sha256(b"").hexdigest()


def end(place: ObjectLocation) -> int:
    """End the uploads of an object; returns how many.

    Call it when this process uploads no more, and no other may. What the server does not allow is logged, and left:
    an upload that is not ended is no object, and only takes space.

    Parameters
    ----------
    place
        The object, in a bucket of the lab's datalake.
    """
    number = 0
    try:
        with httpx.Client(
            verify=tls.context(),
            timeout=float(settings.get("datalake.timeout")),
            follow_redirects=False,
            trust_env=False,
        ) as client:
            for _ in range(_ROUNDS):
                found = _pending(client, place)
                for one in found:
                    _ask(client, "DELETE", f"/{place.root}/{place.path}", [("uploadId", one)])
                number += len(found)
                if not found:
                    break
    except (httpx.HTTPError, GeodesError, ValueError) as error:
        log.warning("Uploads of %s that were not finished may be left: %s", shown(place.href), shown(str(error))[:300])
    return number


def _pending(client: httpx.Client, place: ObjectLocation) -> list[str]:
    answer = _ask(client, "GET", f"/{place.root}", [("prefix", place.path), ("uploads", "")])
    several = [e for e in parsed(answer).iter() if e.tag.rpartition("}")[2] == "Upload"]
    told = [{c.tag.rpartition("}")[2]: c.text or "" for c in e} for e in several]
    return [t["UploadId"] for t in told if t.get("Key") == place.path and t.get("UploadId")]


def _ask(client: httpx.Client, method: str, path: str, query: Sequence[tuple[str, str]]) -> bytes:
    endpoint = settings.get("datalake.endpoint").rstrip("/")
    where = urlsplit(endpoint)
    whole = f"{where.path}{quote(path, safe='/-_.~')}"
    told = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(query))
    headers = _signed(method, where.netloc, whole, told, datetime.now(UTC))
    url = httpx.URL(scheme=where.scheme, netloc=where.netloc.encode(), raw_path=f"{whole}?{told}".encode())
    with client.stream(method, url, headers=headers) as answer:
        if method == "DELETE" and answer.status_code == 404:
            return b""  # another process has ended it
        if not answer.is_success:
            raise ValueError(f"the datalake answers {answer.status_code} to {method}")
        data = b""
        for block in answer.iter_bytes():
            data += block
            if len(data) > _LARGEST:
                raise ValueError("the datalake's list of uploads is longer than any")
    return data


def _signed(method: str, host: str, path: str, query: str, now: datetime) -> Mapping[str, str]:
    """Return the headers of a request without a body."""
    keys = credentials.current("s3")
    if keys is None:
        return {}
    moment, day, region = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}", settings.get("datalake.region")
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": moment}
    if token := keys.get("session_token"):
        headers["x-amz-security-token"] = token
    names, lines = ";".join(headers), "".join(f"{k}:{v}\n" for k, v in headers.items())
    request = "\n".join((method, path, query, lines, names, _EMPTY))
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys['secret_access_key']}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    who = f"Credential={keys['access_key_id']}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "authorization": f"AWS4-HMAC-SHA256 {who}"}
