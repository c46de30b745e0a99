"""Which software does a person's kernel have? The lab's, never changed, and the person's own over it."""
