"""TIFF and COG by tiles: the header, kept on disk as it was understood, and the tiles as ranges of bytes."""
