"""Zarr stores: their documents held against what products have, their objects, and an array as an image."""
