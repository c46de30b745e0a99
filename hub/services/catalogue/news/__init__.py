"""What is new for searches: a feed, keys for its address, and mails."""
