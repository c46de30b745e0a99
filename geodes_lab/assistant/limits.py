"""How much an assistant may ask for. The settings ``geodes_lab.assistant`` say how long an answer may take and be."""

ROWS = 100
"""Products in the answer to a search."""
PRODUCTS = 200
"""Products of a cube."""
QUESTIONS = 4
"""Questions that are worked on at once."""
