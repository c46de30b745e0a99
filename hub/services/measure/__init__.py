"""Measures the homes, and tells the accounts of use.

The one service that may look into them, so it takes nothing from anybody.
"""
