"""Results to files of other tools' formats, one format a file."""
