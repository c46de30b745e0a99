"""Who comes in, and how a session ends."""
