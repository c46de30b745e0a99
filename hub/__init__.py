"""The hub of the lab: who comes in, what starts for a person, and the services beside it."""
