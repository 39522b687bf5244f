"""Assets in Python, and components in YAML."""
