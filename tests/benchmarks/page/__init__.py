"""One page of benchmarks from one run: ours beside the peer, with the interval of their ratio, and the goal."""
