"""TIFF and COG by tiles: the parsed header is cached on disk, and tiles are read as byte ranges."""
