"""Content of the report: lookups over results, formats of numbers and names, and the sentences of the verdict."""
