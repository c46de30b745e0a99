"""Where do results go? Into files that are complete or missing, into the lab's catalogue, and to other people."""
