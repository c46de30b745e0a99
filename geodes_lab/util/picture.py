"""A picture of unknown origin, decoded and written anew.

What comes out is pixels, and nothing else that came with them.
"""

from __future__ import annotations

import io

from PIL import Image

from geodes_lab.errors import GeodesError

_FORMATS = ("JPEG", "PNG", "WEBP")
"""What is decoded. SVG is a program, and of the others each decoder is one more that may be attacked."""
_PIXELS = 2**25  # of the picture that comes: 100 MB while it is decoded
_SCANS = 100  # of a progressive JPEG; one has ten, and by chance two bytes of another picture look like one
_SIDE = 1024  # pixels of the one that goes: a small picture


def anew(data: bytes, name: str) -> tuple[bytes, str]:
    """Decode a picture and write it anew, no larger than 1024 pixels on a side.

    Parameters
    ----------
    data
        A JPEG, PNG or WebP.
    name
        What errors call it.

    Returns
    -------
    tuple
        The new file, and its media type: ``image/jpeg``, or ``image/png`` where something is transparent.

    Raises
    ------
    GeodesError
        If it is no such picture, is damaged, or has more pixels than any quicklook.
    """
    if data.count(b"\xff\xda") > _SCANS:
        raise GeodesError(
            f"The quicklook of {name} has more than {_SCANS} scans, each of which is decoded whole: it is refused."
        )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > _PIXELS:
                raise GeodesError(
                    f"The quicklook of {name} has {image.width} × {image.height} pixels: more than {_PIXELS:,} are "
                    "not decoded."
                )
            image.draft("RGB", (_SIDE, _SIDE))  # a JPEG decodes as small as it may
            image.thumbnail((_SIDE, _SIDE))
            is_seen_through = "A" in image.getbands() or "transparency" in image.info
            found = image.convert("RGBA" if is_seen_through else "RGB")
    except GeodesError:
        raise
    except Exception as error:  # each decoder has errors of its own
        raise GeodesError(
            f"The quicklook of {name} is no JPEG, PNG or WebP that can be decoded ({type(error).__name__})."
        ) from error
    found.info = {}  # comments, profiles and the like, which would be written too
    file = io.BytesIO()
    if is_seen_through:
        found.save(file, "PNG")
    else:
        found.save(file, "JPEG", quality=88)
    return file.getvalue(), "image/png" if is_seen_through else "image/jpeg"
