"""The finest details of a tile without their last bit planes, for a mean that does not need them.

An overview's finest details are three quarters of what a decoder has to decode, and most of its time goes to their last
bit planes, which are noise. A packet says how many coding passes of a code-block it holds: with a smaller number, the
decoder ends there (ISO 15444-1, annex B). The coded data stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from geodes_lab.formats.jpeg2000 import packet_codes
from geodes_lab.formats.jpeg2000.codestream import Header
from geodes_lab.formats.jpeg2000.packets import Packet

_COD, _QCD = 0xFF52, 0xFF5C
_DEEP = 12  # bits of a number: fewer have no planes to spare
PLANES = (4, 4, 5)
"""Bit planes that are left out: of the details across, down, and both."""
SLACK = 3 * 2 ** PLANES[0] + 9 * 2 ** PLANES[2] // 4
"""The most by which a pixel differs then: the 5/3 wavelet makes at most 1.5 of a detail in each direction."""


@lru_cache(maxsize=64)
def planes(header: Header, level: int) -> tuple[int, ...] | None:
    """Return the bit planes of the finest details of an overview; None: it has none to spare.

    It has if it is lossless, of numbers of at least twelve bits.
    """
    cod, qcd = (header.segment(marker) for marker in (_COD, _QCD))
    last = header.levels - level
    depths = [header.raw[42 + 3 * n] & 127 for n in range(header.components)]
    if not header.prefixes or level < 1 or last < 1 or min(depths) < _DEEP - 1 or len(qcd) < 5 + 3 * last + 1:
        return None
    if cod[12] or header.wavelet != 1 or qcd[4] & 31:
        return None
    return tuple((qcd[4] >> 5) + (qcd[5 + 3 * (last - 1) + n] >> 3) - 1 for n in (1, 2, 3))


def spared(part: bytes, packets: list[list[Packet]], most: Sequence[int]) -> bytes:
    """Return a tile-part up to the finest resolution, whose packets have fewer coding passes.

    Parameters
    ----------
    part
        (The beginning of) the tile-part.
    packets
        Its packets, up to that resolution.
    most
        See `planes`.
    """
    pieces, at = list[bytes](), packets[-2][-1].end
    begin = part[:at]
    for packet in packets[-1]:
        pieces += [_shortened(packet, most), part[packet.body : packet.end]]
    return b"".join([begin, *pieces])


def _shortened(packet: Packet, most: Sequence[int]) -> bytes:
    """Return the header of a packet with fewer passes."""
    bits = []
    for before, band, missing, passes, length in packet.blocks:
        kept = min(passes, max(3 * (most[band] - missing - PLANES[band]) - 2, 1))
        bits += [before, packet_codes.count(kept), packet_codes.length(length, kept)]
    return packet_codes.stuffed("".join(bits) + packet.rest)
