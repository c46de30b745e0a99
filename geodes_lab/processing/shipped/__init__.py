"""The processes that come with the lab."""
