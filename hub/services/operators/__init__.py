"""The operators' page: who is there, what runs, messages to people, and stops with notice."""
