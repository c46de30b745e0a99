"""What is a band? Its file, its grid and its measure; and how its numbers get to another grid."""
