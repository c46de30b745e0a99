"""The hub of the lab: who may log in, what starts for a person, and the services beside it."""
