"""Pruning methods: a network goes in, a pruned network comes out. Imports torch, never the judge."""
