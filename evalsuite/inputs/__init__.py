"""What a run works on: the parent and its data, read together, and what was understood of them."""
