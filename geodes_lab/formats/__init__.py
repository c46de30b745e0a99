"""How is it encoded? A package for each format, and what they share.

Decoded tiles, and GDAL restricted to safe formats.
"""
