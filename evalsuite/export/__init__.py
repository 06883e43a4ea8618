"""Exporters: results to files of other tools' formats, one format a file."""
