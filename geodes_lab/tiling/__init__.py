"""What does a map show? Tiles of products, by rio-tiler's interface and our own reader."""
