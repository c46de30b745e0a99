"""Numbers held against formulas and libraries that nobody here wrote."""
