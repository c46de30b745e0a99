"""Gridded Zarr stores, ESA's EOPF products among them."""
