"""The version, where every file can read it without importing the front door."""

__version__ = "0.1.0"
