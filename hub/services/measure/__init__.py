"""Measures the homes, and reports to the usage accounts.

Only this service may read them, so it accepts no input.
"""
