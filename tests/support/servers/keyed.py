"""A datalake that is strict about keys: S3's own signatures (version 4) are verified, and keys end; and an STS that gives them.

It serves buckets that are folders. What it refuses it counts, and answers as S3 does.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import ssl
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

_STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


class KeyedS3:
    """The server; a context manager.

    Parameters
    ----------
    folder
        Of the buckets.
    lifetime
        Seconds for which keys are good.
    certificate
        File with certificate and key, to speak TLS.
    """

    def __init__(self, folder: Path, lifetime: float = 3600, certificate: Path | None = None) -> None:
        self.folder, self.lifetime, self.certificate = folder, lifetime, certificate
        self.keys: dict[str, tuple[str, str, float]] = {}
        self.tokens: set[str] = set()
        """Access tokens that STS takes."""
        self.given: list[str] = []
        """Every secret that was ever given: what a test searches for."""
        self.served = self.refused = self.issued = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.port}"

    def issue(self, lifetime: float | None = None) -> dict[str, str]:
        """Keys as `credential_process` has them."""
        key, secret, token = "AKIA" + secrets.token_hex(8).upper(), secrets.token_hex(20), secrets.token_hex(40)
        ends = time.time() + (self.lifetime if lifetime is None else lifetime)
        self.keys[key] = (secret, token, ends)
        self.given += [secret, token]
        self.issued += 1
        when = datetime.fromtimestamp(ends, UTC).isoformat()
        return {"Version": 1, "AccessKeyId": key, "SecretAccessKey": secret, "SessionToken": token, "Expiration": when}

    def __enter__(self) -> KeyedS3:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Listen, on the same port as before."""
        handler = type("Handler", (_Handler,), {"lake": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def down(self) -> None:
        """Stop listening; connections that there are end."""
        self._server.shutdown()
        self._server.server_close()
        self._server.close_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments: object) -> None:
        self.open: set = set()
        super().__init__(*arguments)

    def process_request(self, request, address) -> None:
        self.open.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        for request in list(self.open):
            with contextlib.suppress(OSError):
                request.shutdown(2)

    def handle_error(self, *_: object) -> None:
        """A client that went away is none."""


class _Handler(BaseHTTPRequestHandler):
    lake: KeyedS3
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        problem = self._problem()
        if problem:
            self.lake.refused += 1
            return self._answer(403, f"<Error><Code>{problem}</Code><Message>{problem}</Message></Error>".encode())
        path = self.lake.folder / unquote(urlsplit(self.path).path).lstrip("/")
        if not path.is_file():
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        self.lake.served += 1
        size, asked = path.stat().st_size, self.headers.get("Range")
        first, last = 0, size - 1
        if asked:
            a, _, b = asked.removeprefix("bytes=").partition("-")
            first, last = (int(a), min(int(b), size - 1) if b else size - 1) if a else (max(size - int(b), 0), size - 1)
        with path.open("rb") as file:
            file.seek(first)
            data = file.read(last - first + 1)
        tag = {"ETag": f'"{path.stat().st_mtime_ns:x}"', "Last-Modified": "Tue, 01 Jun 2021 10:00:00 GMT"}
        said = {"Content-Range": f"bytes {first}-{last}/{size}"} if asked else {}
        return self._answer(
            206 if asked else 200, data, {**tag, **said, "Accept-Ranges": "bytes"}, "application/octet-stream"
        )

    def do_POST(self) -> None:
        """STS."""
        asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if asked.get("WebIdentityToken", [""])[0] not in self.lake.tokens:
            return self._answer(400, b"<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>")
        made = self.lake.issue()
        names = {"id": "AccessKeyId", "secret": "SecretAccessKey", "token": "SessionToken", "ends": "Expiration"}
        return self._answer(200, _STS.format(**{k: made[v] for k, v in names.items()}).encode())

    def _answer(
        self, status: int, data: bytes, headers: dict[str, str] | None = None, kind: str = "application/xml"
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _problem(self) -> str:
        """Why a request is refused, as S3 says it; nothing if its signature is right and its key is good."""
        told = self.headers.get("Authorization", "")
        if not told.startswith("AWS4-HMAC-SHA256 "):
            return "AccessDenied"
        parts = dict(p.strip().split("=", 1) for p in told.removeprefix("AWS4-HMAC-SHA256 ").split(","))
        key, day, region, service, _ = parts["Credential"].split("/")
        if key not in self.lake.keys:
            return "InvalidAccessKeyId"
        secret, token, ends = self.lake.keys[key]
        url = urlsplit(self.path)
        signed = parts["SignedHeaders"].split(";")
        query = "&".join(sorted(url.query.split("&"))) if url.query else ""
        lines = "".join(f"{n}:{' '.join(self.headers.get(n, '').split())}\n" for n in signed)
        request = "\n".join(
            [self.command, url.path, query, lines, ";".join(signed), self.headers.get("x-amz-content-sha256", "")]
        )
        scope = f"{day}/{region}/{service}/aws4_request"
        text = "\n".join(
            ["AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest()]
        )
        signing = f"AWS4{secret}".encode()
        for part in (day, region, service, "aws4_request"):
            signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
        if not hmac.compare_digest(hmac.new(signing, text.encode(), hashlib.sha256).hexdigest(), parts["Signature"]):
            return "SignatureDoesNotMatch"
        if self.headers.get("x-amz-security-token") != token:
            return "InvalidToken"
        return "ExpiredToken" if time.time() > ends else ""


def credential_process(path: Path, lake: KeyedS3, token: str) -> str:
    """A command that gives keys, as CNES's assumerole does; made for a test, it asks the STS of the lake."""
    path.write_text(
        "import json, sys, urllib.parse, urllib.request, xml.etree.ElementTree as ET\n"
        f"data = urllib.parse.urlencode({json.dumps({'WebIdentityToken': token})}).encode()\n"
        f"said = ET.fromstring(urllib.request.urlopen({lake.url!r}, data).read())\n"
        "parts = {e.tag.rpartition('}')[2]: e.text for e in said.iter()}\n"
        "names = ('AccessKeyId', 'SecretAccessKey', 'SessionToken', 'Expiration')\n"
        "print(json.dumps({n: parts[n] for n in names}))\n"
    )
    lake.tokens.add(token)
    return f"python3 {path}"
