"""Implementations of the ports; each translates foreign errors at its own border."""
