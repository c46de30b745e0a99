"""How the header of a packet writes its numbers (ISO 15444-1, annex B)."""

from __future__ import annotations


def count(passes: int) -> str:
    """Return the code of a number of coding passes, 1 to 164, as bits (table B.4)."""
    if passes <= 2:
        return ("0", "10")[passes - 1]
    if passes <= 5:
        return f"11{passes - 3:02b}"
    if passes <= 36:
        return f"1111{passes - 6:05b}"
    return f"111111111{passes - 37:07b}"


def length(size: int, passes: int) -> str:
    """Return the code of a code-block's number of bytes, as bits."""
    more = passes.bit_length() - 1
    wide = max(size.bit_length() - more, 3)
    return "1" * (wide - 3) + "0" + f"{size:0{wide + more}b}"


def stuffed(bits: str) -> bytes:
    """Return bits as bytes; after FF comes a bit that is 0, so that they look like no marker."""
    data, at = bytearray(), 0
    while at < len(bits) or (data and data[-1] == 0xFF):
        room = 7 if data and data[-1] == 0xFF else 8
        data.append(int(bits[at : at + room].ljust(room, "0"), 2))
        at += room
    return bytes(data)
