"""Processes and code that is not evalsuite's: limits, signals, exits, and whose fault an error is."""
