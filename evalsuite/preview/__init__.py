"""What a run would compute and cost, told before it starts."""
