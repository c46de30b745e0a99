"""The datalake behind the gate, read with the lab's own keys.

It is an S3 endpoint, or a folder whose subfolders are buckets.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import obstore
from obstore.store import LocalStore, ObjectStore, S3Store

from geodes_lab.credentials import tls
from geodes_lab.policy.services import Datalake

_CHUNK = 2**20  # bytes of an answer that are sent together
_RENEWED = timedelta(minutes=5)


class NoObject(Exception):
    """The object or bucket does not exist."""


class NotAsAsked(Exception):
    """The object exists, but not in the requested form: ``status`` is 304, 412 or 416."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Away(Exception):
    """The datalake does not answer, or refuses the lab's own keys."""


@dataclass(frozen=True)
class Object:
    """An object's metadata, and (a part of) its bytes."""

    size: int
    start: int
    end: int
    """The position after the last byte."""
    tag: str
    changed: datetime
    body: AsyncIterator[bytes] | None


class Lake:
    """The buckets.

    Parameters
    ----------
    told
        The datalake in the operator's file.
    keys
        The file with the lab's own keys: the access key, the secret, and the session token if there is one, one per
        line. It is read repeatedly, so that renewed keys are used.
    """

    def __init__(self, told: Datalake, keys: Path) -> None:
        self._told, self._keys = told, keys
        self._store = lru_cache(256)(self._made)
        self._straight = lru_cache(4096)(self._is_straight)

    def _made(self, bucket: str) -> ObjectStore:
        if self._told.folder:
            folder = Path(self._told.folder) / bucket
            if not folder.is_dir():
                raise NoObject
            return LocalStore(folder)
        endpoint = self._told.endpoint
        signs: dict[str, Any] = (
            {"credential_provider": self._credentials} if self._keys.exists() else {"skip_signature": True}
        )
        authorities = tls.authorities()
        known = {"root_certificate": authorities} if authorities else {}
        return S3Store(
            bucket,
            endpoint=endpoint,
            region=self._told.region,
            virtual_hosted_style_request=False,
            client_options={"allow_http": endpoint.startswith("http://"), "timeout": timedelta(seconds=60), **known},
            **signs,
        )

    def _credentials(self) -> dict[str, Any]:
        key, secret, *token = self._keys.read_text().split()
        keys_found = {"access_key_id": key, "secret_access_key": secret, "token": token[0] if token else None}
        return {**keys_found, "expires_at": datetime.now(UTC) + _RENEWED}

    def real(self, bucket: str, key: str) -> str:
        """Return the place that a key leads to; in a folder, after following its links.

        Raises
        ------
        NoObject
            If a link leads out of the datalake.
        """
        if not self._told.folder:
            return f"{bucket}/{key}"
        whole = Path(self._told.folder).resolve()
        target = Path(os.path.realpath(whole / bucket / key))
        if not target.is_relative_to(whole):
            raise NoObject
        return target.relative_to(whole).as_posix()

    def _listed(self, bucket: str, name: str) -> bool:
        """Whether a list contains a name: in a folder, targets of links are not listed."""
        if not self._told.folder:
            return True
        folder, _, last = name.rstrip("/").rpartition("/")
        return self._straight(bucket, folder) and not (Path(self._told.folder) / bucket / folder / last).is_symlink()

    def _is_straight(self, bucket: str, folder: str) -> bool:
        place = Path(self._told.folder).resolve() / bucket / folder
        return Path(os.path.realpath(place)) == place

    async def get(self, bucket: str, key: str, headers: dict[str, str], head: bool) -> Object:
        """Return an object, or the part of it that a request's headers name.

        Raises
        ------
        NoObject, NotAsAsked, Away
            If that is not possible.
        """
        options: dict[str, Any] = {"head": True} if head else {}
        for header, option in (("if-match", "if_match"), ("if-none-match", "if_none_match")):
            if header in headers:
                options[option] = headers[header]
        try:
            if "range" in headers and not head:
                options["range"] = part(headers["range"])
            store = self._store(bucket)
            if head:
                meta: Any = await obstore.head_async(store, key)
                return Object(meta["size"], 0, meta["size"], meta["e_tag"] or "", meta["last_modified"], None)
            answer = await obstore.get_async(store, key, options=options)
        except NoObject:
            raise
        except FileNotFoundError:
            raise NoObject from None
        except ValueError:
            raise NotAsAsked(416) from None
        except Exception as error:
            raise _understood(error) from error
        (start, end), meta = answer.range, answer.meta
        return Object(
            meta["size"], start, end, meta["e_tag"] or "", meta["last_modified"], answer.stream(_CHUNK).__aiter__()
        )

    async def names(
        self, bucket: str, prefix: str, after: str, delimiter: bool
    ) -> AsyncIterator[tuple[str, int, datetime | None]]:
        """Yield objects and, with a delimiter, folders (which have no time), in order of their names."""
        try:
            listed = self._level(bucket, prefix) if delimiter else self._below(bucket, prefix, after)
            async for name, size, changed in listed:
                if name.startswith(prefix) and name > after:
                    yield name, size, changed
        except FileNotFoundError:
            return
        except NoObject:
            raise
        except Exception as error:
            if "NoSuchBucket" in str(error) or "status code: 404" in str(error):
                raise NoObject from None
            raise

    async def _level(self, bucket: str, prefix: str) -> AsyncIterator[tuple[str, int, datetime | None]]:
        """Yield objects and folders directly below the folder of a prefix, by name."""
        listing = await obstore.list_with_delimiter_async(self._store(bucket), prefix.rpartition("/")[0] or None)
        every = [(f"{p}/", 0, None) for p in listing["common_prefixes"]]
        every += [(o["path"], o["size"], o["last_modified"]) for o in listing["objects"]]
        for entry in sorted(entry for entry in every if self._listed(bucket, entry[0])):
            yield entry

    async def _below(self, bucket: str, prefix: str, after: str) -> AsyncIterator[tuple[str, int, datetime | None]]:
        """Yield objects at any depth below the folder of a prefix, by name."""
        batches = obstore.list(self._store(bucket), prefix.rpartition("/")[0] or None, offset=after or None)
        if self._told.folder:  # a file system has no order of its own
            whole = [entry async for batch in batches for entry in batch]
            for entry in sorted(whole, key=lambda t: t["path"]):
                if self._listed(bucket, entry["path"]):
                    yield entry["path"], entry["size"], entry["last_modified"]
            return
        async for batch in batches:
            for entry in batch:
                yield entry["path"], entry["size"], entry["last_modified"]


def part(header: str) -> Any:
    """Parse a Range header for obstore.

    Raises
    ------
    ValueError
        If it is not one range of bytes.
    """
    unit, _, byte_span = header.partition("=")
    first, dash, last = byte_span.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in byte_span:
        raise ValueError(header)
    if not first:
        return {"suffix": int(last)}
    return (int(first), int(last) + 1) if last else {"offset": int(first)}


def _understood(error: Exception) -> Exception:
    message = str(error)
    for word, status in (("412", 412), ("304", 304), ("416", 416), ("Precondition", 412), ("NotModified", 304)):
        if word in type(error).__name__ or f"status code: {word}" in message:
            return NotAsAsked(status)
    # The folder store's error for a range that begins after the end.
    if "range" in message.lower():
        return NotAsAsked(416)
    return Away(message.partition("\n")[0])
