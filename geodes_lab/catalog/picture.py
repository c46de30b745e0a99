"""A picture of unknown origin, decoded and encoded again.

The new file has the pixels alone.
"""

from __future__ import annotations

import io

from PIL import Image

from geodes_lab.errors import GeodesError

_FORMATS = ("JPEG", "PNG", "WEBP")
"""The formats that are decoded. SVG is a program, and each further decoder could be attacked."""
_PIXELS = 2**25  # of the picture that arrives: 100 MB while it is decoded
_SCANS = 100  # of a progressive JPEG; one has ten, and by chance two bytes of another picture look like one
_SIDE = 1024  # pixels of the new picture, which is small


def anew(data: bytes, name: str) -> tuple[bytes, str]:
    """Decode a picture and encode it again, at most 1024 pixels on a side.

    Parameters
    ----------
    data
        A JPEG, PNG or WebP.
    name
        Its name in error messages.

    Returns
    -------
    tuple
        The new file, and its media type: ``image/jpeg``, or ``image/png`` where something is transparent.

    Raises
    ------
    GeodesError
        If it is not such a picture, is damaged, or has more pixels than any quicklook.
    """
    if data.count(b"\xff\xda") > _SCANS:
        raise GeodesError(
            f"The quicklook of {name} has more than {_SCANS} scans, which would take too long to decode: it is refused."
        )
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > _PIXELS:
                raise GeodesError(
                    f"The quicklook of {name} has {image.width} × {image.height} pixels; the limit is {_PIXELS:,}: it "
                    "is not shown."
                )
            image.draft("RGB", (_SIDE, _SIDE))  # a JPEG decoder can produce a small picture directly
            image.thumbnail((_SIDE, _SIDE))
            is_seen_through = "A" in image.getbands() or "transparency" in image.info
            picture = image.convert("RGBA" if is_seen_through else "RGB")
    except GeodesError:
        raise
    except Exception as error:  # each decoder has its own errors
        raise GeodesError(
            f"The quicklook of {name} is not a valid JPEG, PNG or WebP image ({type(error).__name__})."
        ) from error
    picture.info = {}  # comments, profiles and the like, which would be written too
    file = io.BytesIO()
    if is_seen_through:
        picture.save(file, "PNG")
    else:
        picture.save(file, "JPEG", quality=88)
    return file.getvalue(), "image/png" if is_seen_through else "image/jpeg"
