"""How is it encoded? A package for each format, and what they share: decoded tiles, and GDAL held to what is safe."""
