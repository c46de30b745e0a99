"""Who may log in, and how a session ends."""
