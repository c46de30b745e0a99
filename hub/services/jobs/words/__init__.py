"""The words of the page: those of its frame, and the French of what processes say of themselves."""
