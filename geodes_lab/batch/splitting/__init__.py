"""How a job is split: a grid of tiles, periods, and the units of both."""
