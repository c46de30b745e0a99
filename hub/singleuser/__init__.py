"""What runs in a person's own server."""
