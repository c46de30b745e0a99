"""What will it cost, and what happened? Nothing is read here."""
