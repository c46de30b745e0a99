"""Where do results go? Files that are whole or not there, the lab's catalogue, other people."""
