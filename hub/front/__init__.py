"""What stands before the hub: its proxy, names of hosts, connections, the log."""
