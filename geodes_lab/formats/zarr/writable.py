"""A Zarr store that is being written: its chunks go where they will be, its documents are kept back until the end.

A reader that finds no document sees no store. So nothing of a store that is not complete can be opened, in a bucket
too, where no folder can be renamed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from geodes_lab.formats.zarr import document
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited


class Writable(Store):
    """The objects of a folder as a store of zarr-python; it is sent to workers with its documents, without keys.

    Parameters
    ----------
    folder
        Where its objects are.
    documents
        The documents that are kept back; None: documents are objects like others.
    read_only
        Whether it refuses to write.
    """

    def __init__(
        self, folder: ObjectFolder, documents: dict[str, bytes] | None = None, read_only: bool = False
    ) -> None:
        super().__init__(read_only=read_only)
        self.folder, self.documents = folder, documents

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "documents": self.documents, "read_only": self.read_only}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Writable) and self.folder == other.folder and self.documents == other.documents

    def __str__(self) -> str:
        return str(self.folder)

    def with_read_only(self, read_only: bool = False) -> Writable:
        """Return the same store, with the same documents."""
        return Writable(self.folder, self.documents, read_only)

    def publish(self) -> None:
        """Write the documents that were kept back: those of a group after those in it, the root's last."""
        for key in sorted(self.documents or {}, key=lambda k: (-k.count("/"), k)):
            waited(self.folder.write(key, (self.documents or {})[key]))

    def _keeps(self, key: str) -> bool:
        return self.documents is not None and key.rpartition("/")[2] in document.DOCUMENTS

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read an object or a part of it; None if there is none."""
        part: Any = None
        match byte_range:
            case RangeByteRequest(start, end):
                part = (start, end)
            case OffsetByteRequest(offset):
                part = {"offset": offset}
            case SuffixByteRequest(suffix):
                part = {"suffix": suffix}
        if self._keeps(key):
            data = (self.documents or {}).get(key)
        elif isinstance(byte_range, SuffixByteRequest):
            size = await self.folder.size(key)  # not all servers count from the end
            data = None if size is None else await self.folder.read(key, (max(size - byte_range.suffix, 0), size))
        else:
            data = await self.folder.read(key, part)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of several objects."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        if self._keeps(key):
            return key in (self.documents or {})
        return await self.folder.size(key) is not None

    @property
    def supports_writes(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_deletes(self) -> bool:
        """Yes."""
        return True

    @property
    def supports_listing(self) -> bool:
        """Yes."""
        return True

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object, whole or not at all."""
        self._check_writable()
        if self._keeps(key):
            assert self.documents is not None
            self.documents[key] = value.to_bytes()
            return
        await self.folder.write(key, memoryview(value.as_buffer_like()))

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._check_writable()
        if self._keeps(key):
            (self.documents or {}).pop(key, None)
        else:
            await self.folder.remove(key)

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        for key in {*(self.documents or {}), *await self.folder.keys()}:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys in a folder."""
        async for key in self.list():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly in a folder."""
        start = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        kept = {k[len(start) :].partition("/")[0] for k in self.documents or {} if k.startswith(start)}
        # Where documents are kept back, an object that none of them describes is no node.
        names = kept if self.documents is not None else await self.folder.names(prefix.strip("/"))
        for name in names:
            yield name
