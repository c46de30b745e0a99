"""Terrain models: the heights under a radar image."""
