"""Settings of a run: options declared once, presets, run files, and the parts that they name."""
