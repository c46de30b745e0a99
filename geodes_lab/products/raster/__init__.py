"""Items of any catalogue with an asset per band, and loose raster files."""
