"""The version, where every file can read it without importing the front door."""

VERSION = "0.1.0"
