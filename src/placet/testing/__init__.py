"""Contract suites and real test parts, shipped for adapter authors and the demo."""
