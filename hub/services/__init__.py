"""The small services beside the hub: a package for each, and their shared modules."""
