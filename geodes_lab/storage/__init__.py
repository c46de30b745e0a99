"""Where are the bytes? Places of objects, their servers' clients, ranges of bytes, whole files in a bounded cache."""
