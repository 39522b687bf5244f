"""Faces of the client inside other tools."""
