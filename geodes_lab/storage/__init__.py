"""Where are the bytes? Locations of objects, clients of their servers, byte ranges, whole files in a bounded cache."""
