"""Checks that look at data before people do: the interface for authors, the built-in ones, table reading."""
