"""Sentinel-2: L1C and L2A in ESA's layout, and as other catalogues publish it."""
