"""Sections of the page, one a file, each with its template beside it."""
