"""Stops servers that nobody uses or that are too old.

Warns the person before, and reports afterwards what was stopped.
"""
