"""Makes families of networks: a parent by recipe, its pruned descendants, and the controls beside them."""
