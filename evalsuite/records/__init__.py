"""What a run keeps on disk: the store, its sealed digests, and how far it is."""
