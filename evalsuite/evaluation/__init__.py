"""Evaluates a family of networks: examples, shards, and whether a shipped file is the network that was evaluated."""
