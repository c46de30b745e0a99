"""What is in front of the hub: its proxy, host names, connections, the log."""
