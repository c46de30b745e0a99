"""What will it cost, and what became of it? Nothing is read here."""
