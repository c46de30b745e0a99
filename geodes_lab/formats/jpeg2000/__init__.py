"""JPEG 2000 by tiles: where each tile lies, and what its bytes say."""
