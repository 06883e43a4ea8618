"""What a run is to do: settings, presets, run files, and how they become parts."""
