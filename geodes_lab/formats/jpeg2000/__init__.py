"""JPEG 2000 by tiles: where each tile is in the file, and how its bytes are decoded."""
