"""What does a kernel give to the workers of its cluster? Its keys and its own packages, over the cluster's TLS."""
