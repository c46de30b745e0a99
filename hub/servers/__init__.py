"""What starts for a person: sizes, accounts, shares, clusters."""
