"""Measures the homes, and tells the accounts of use: the one service that may look into them, so it takes nothing from anybody."""
