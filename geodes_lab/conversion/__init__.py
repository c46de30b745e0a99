"""How does a product become another format, near the data and with all its numbers."""
