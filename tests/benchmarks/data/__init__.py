"""What the benchmarks read: products of full size behind a slow server, and catalogues of any size."""
