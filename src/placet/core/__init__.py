"""Pure decisions and formats: bytes and values in, values out; no file, network, clock or randomness."""
