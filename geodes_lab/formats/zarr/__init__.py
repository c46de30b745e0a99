"""Zarr stores: checks of their documents, their objects, and an array as an image."""
