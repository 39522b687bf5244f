"""Governed, verified publication of DVC data."""
