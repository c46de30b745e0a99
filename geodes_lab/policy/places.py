"""Places on the datalake as people write them.

A bucket and a key, in the grammar of S3 and in no other way of writing.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; with the underscore that older ones
# have.
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9._-]{1,61})[a-z0-9]")
_ENCODED = re.compile(r"%[0-9a-fA-F]{2}")
_LONGEST = 1024  # bytes of a key


def bucket_and_key(raw: bytes | str) -> tuple[str, str]:
    """Read the path of a request, as it came over the wire; what it says is decoded once, and never again.

    Parameters
    ----------
    raw
        Such as ``/bucket/a%20key``; percent-encoded.

    Returns
    -------
    tuple
        The bucket and the key, decoded; the key is empty if the path is a bucket.

    Raises
    ------
    ValueError
        If S3 has no such bucket or key, or there is a second way to write the same place: that would be a way around a
        rule.
    """
    text = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    try:
        path = unquote(text.partition("?")[0], errors="strict").removeprefix("/").rstrip("/")
    except UnicodeDecodeError:
        raise ValueError("A key must be text in UTF-8.") from None
    bucket, _, key = path.partition("/")
    check(bucket, key)
    return bucket, key


def check(bucket: str, key: str) -> None:
    """Refuse a bucket or a key that S3 does not have, or that could lead elsewhere.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ValueError("The name of a bucket must have 3 to 63 small letters, digits, dots and dashes.")
    if not key:
        return
    if len(key.encode()) > _LONGEST or any(p in ("", ".", "..") for p in key.split("/")):
        raise ValueError("A key must have at most 1024 bytes, and no empty parts, no '.' and no '..'.")
    if _ENCODED.search(key):
        raise ValueError("A key must not contain percent-encoding: a server that decodes twice would read another key.")
    if "\\" in key or any(ord(c) < 32 or ord(c) == 127 for c in key):
        raise ValueError("A key must not contain a backslash or a control character.")
