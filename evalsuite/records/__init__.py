"""Records of a run on disk: the store, the schema of results, their digests, and how far the run is."""
