"""A secret that exists only in the memory of the process that uses it."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal, NoReturn, get_args

Kind = Literal["s3", "api_key", "token"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""All parts of secrets."""


class Secret(Mapping[str, str]):
    """The parts of a key, by name (``access_key_id``, ``secret_access_key``, ``session_token``; ``key``; ``token``).

    Its repr hides it, and it can be neither pickled nor copied. Only `geodes_lab.cluster.forwarding.credentials` takes
    it apart, on purpose, to forward it.

    Parameters
    ----------
    values
        The parts of the key.
    expires
        When it expires, in seconds since 1970; None: unknown.
    """

    __slots__ = ("__values", "born", "expires", "mark")

    def __init__(self, values: Mapping[str, str], expires: float | None = None) -> None:
        self.__values = dict(values)
        self.born = time.time()
        """When it was received."""
        self.expires = expires
        """When it expires, in seconds since 1970; None: unknown."""
        text = "\0".join(f"{k}\0{v}" for k, v in sorted(values.items()))
        self.mark = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())
        """A number that identifies the secret and reveals nothing of it."""

    def __getitem__(self, name: str) -> str:
        return self.__values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.__values)

    def __len__(self) -> int:
        return len(self.__values)

    @property
    def left(self) -> float:
        """Return the seconds until it expires; infinite if that is unknown."""
        return math.inf if self.expires is None else self.expires - time.time()

    @property
    def due(self) -> float:
        """Return when to renew it, in seconds since 1970.

        When a quarter of its life is left, or five minutes of a long one.
        """
        return math.inf if self.expires is None else self.expires - min(300.0, (self.expires - self.born) / 4)

    def __repr__(self) -> str:
        until = (
            "" if self.expires is None else f", until {datetime.fromtimestamp(self.expires, UTC):%Y-%m-%dT%H:%M:%SZ}"
        )
        return f"<secret{until}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.mark == other.mark

    def __hash__(self) -> int:
        return self.mark

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be sent to another process: each process requests its own")
