"""The datalake behind the gate, read with the lab's own keys.

An S3 endpoint, or a folder that holds buckets as folders.
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
from geodes_lab.policy.lab import Datalake

_CHUNK = 2**20  # bytes of an answer that are sent on together
_RENEWED = timedelta(minutes=5)


class NoObject(Exception):
    """There is no such object, or bucket."""


class NotAsAsked(Exception):
    """The object is there, and not as the request wants it: ``status`` is 304, 412 or 416."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Away(Exception):
    """The datalake does not answer, or refuses the lab's own keys."""


@dataclass(frozen=True)
class Object:
    """What is known of an object, and (a part of) its bytes."""

    size: int
    start: int
    end: int
    """Behind the last byte."""
    tag: str
    changed: datetime
    body: AsyncIterator[bytes] | None


class Lake:
    """Where buckets are.

    Parameters
    ----------
    told
        What the operator's file says of it.
    keys
        The file with the lab's own keys: the access key, the secret, and the session token if there is one, a line
        each. It is read again and again, so that whoever renews the keys writes it anew.
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
        found = {"access_key_id": key, "secret_access_key": secret, "token": token[0] if token else None}
        return {**found, "expires_at": datetime.now(UTC) + _RENEWED}

    def real(self, bucket: str, key: str) -> str:
        """The place that a key leads to: of a folder, behind its links.

        Raises
        ------
        NoObject
            If a link leads out of the datalake.
        """
        if not self._told.folder:
            return f"{bucket}/{key}"
        whole = Path(self._told.folder).resolve()
        found = Path(os.path.realpath(whole / bucket / key))
        if not found.is_relative_to(whole):
            raise NoObject
        return found.relative_to(whole).as_posix()

    def _listed(self, bucket: str, name: str) -> bool:
        """Whether a list says a name: of a folder, what lies behind a link is in none."""
        if not self._told.folder:
            return True
        folder, _, last = name.rstrip("/").rpartition("/")
        return self._straight(bucket, folder) and not (Path(self._told.folder) / bucket / folder / last).is_symlink()

    def _is_straight(self, bucket: str, folder: str) -> bool:
        place = Path(self._told.folder).resolve() / bucket / folder
        return Path(os.path.realpath(place)) == place

    async def get(self, bucket: str, key: str, headers: dict[str, str], head: bool) -> Object:
        """Give an object, or the part of it that a request's headers ask for.

        Raises
        ------
        NoObject, NotAsAsked, Away
            If that cannot be.
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
            found = await obstore.get_async(store, key, options=options)
        except NoObject:
            raise
        except FileNotFoundError:
            raise NoObject from None
        except ValueError:
            raise NotAsAsked(416) from None
        except Exception as error:
            raise _understood(error) from error
        (start, end), meta = found.range, found.meta
        return Object(
            meta["size"], start, end, meta["e_tag"] or "", meta["last_modified"], found.stream(_CHUNK).__aiter__()
        )

    async def names(
        self, bucket: str, prefix: str, after: str, delimiter: bool
    ) -> AsyncIterator[tuple[str, int, datetime | None]]:
        """List objects and, with a delimiter, folders (which have no time), in order of their names."""
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
        """Objects and folders right below the folder of a prefix, by name."""
        found = await obstore.list_with_delimiter_async(self._store(bucket), prefix.rpartition("/")[0] or None)
        every = [(f"{p}/", 0, None) for p in found["common_prefixes"]]
        every += [(o["path"], o["size"], o["last_modified"]) for o in found["objects"]]
        for told in sorted(told for told in every if self._listed(bucket, told[0])):
            yield told

    async def _below(self, bucket: str, prefix: str, after: str) -> AsyncIterator[tuple[str, int, datetime | None]]:
        """Objects at any depth below the folder of a prefix, by name."""
        batches = obstore.list(self._store(bucket), prefix.rpartition("/")[0] or None, offset=after or None)
        if self._told.folder:  # a folder has no order of its own
            whole = [told async for batch in batches for told in batch]
            for told in sorted(whole, key=lambda t: t["path"]):
                if self._listed(bucket, told["path"]):
                    yield told["path"], told["size"], told["last_modified"]
            return
        async for batch in batches:
            for told in batch:
                yield told["path"], told["size"], told["last_modified"]


def part(header: str) -> Any:
    """What a Range header asks for, as obstore has it.

    Raises
    ------
    ValueError
        If it is not one range of bytes.
    """
    unit, _, said = header.partition("=")
    first, dash, last = said.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in said:
        raise ValueError(header)
    if not first:
        return {"suffix": int(last)}
    return (int(first), int(last) + 1) if last else {"offset": int(first)}


def _understood(error: Exception) -> Exception:
    said = str(error)
    for word, status in (("412", 412), ("304", 304), ("416", 416), ("Precondition", 412), ("NotModified", 304)):
        if word in type(error).__name__ or f"status code: {word}" in said:
            return NotAsAsked(status)
    # What the folder's store says of a part that begins behind the end.
    if "range" in said.lower():
        return NotAsAsked(416)
    return Away(said.partition("\n")[0])
