"""The documentation, and its build."""
