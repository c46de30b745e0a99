"""Sentinel-1: GRD, SLC, OCN, and S1Tiling's images on the grid of Sentinel-2."""
