"""The small services beside the hub: a package each, and what they share."""
