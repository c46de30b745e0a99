"""Terrain flattening: what slopes do to the brightness of a radar image, by the area of the ground in each pixel."""
