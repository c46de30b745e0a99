"""How does a product come to a disk? Whole or in part, resumed, verified, and under its name only when it is right."""
