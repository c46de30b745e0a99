"""Where can the workers of a cluster be? In the user's server, on a gateway, or in a queue of SLURM."""
