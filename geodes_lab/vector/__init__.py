"""Which shape on the earth does a person mean? Geometries, frames and files of them, each with its CRS."""
