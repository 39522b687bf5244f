"""Placet against stock DVC and s5cmd on the same machine, the same store, the same bytes: `make bench`."""
