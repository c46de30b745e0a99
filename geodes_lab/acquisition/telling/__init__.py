"""How news leave the engine: to a server that waits for them, and in French."""
