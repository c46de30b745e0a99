"""Stops servers that nobody uses, that are too old, or that an operator stops.

Warns the person before, and reports afterwards what was stopped. It brings operators' messages to people.
"""
