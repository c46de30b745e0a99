"""Parts of the benchmark of tiles."""
