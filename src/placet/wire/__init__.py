"""The only place that picks adapters: settings in, ready parts out."""
