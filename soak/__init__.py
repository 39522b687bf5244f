"""A long random life of a Placet installation, under faults, judged at its end by code of its own: `make soak`."""
