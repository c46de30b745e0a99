"""Stops servers that nobody uses or that are too old: tells the person before, and says afterwards what was stopped."""
