"""Spot World Heritage: scenes as taken, and orthorectified."""
