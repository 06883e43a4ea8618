"""The report: results to pages and figures; a pure function of results."""
