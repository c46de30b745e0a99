"""Tests with real servers: hub, chart, browser, SLURM."""
