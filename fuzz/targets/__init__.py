"""One file for each kind of input, with the targets that it has; the folder is the registry."""
