"""Tasks: questions asked of a family of networks; one kind of task, one file."""
