"""Groundwork on PyTorch networks that pruning, bounds and evaluation share. Imports torch, nothing else.

Each file holds one idea: copies of networks, evaluation mode for a while, the weights that count as prunable, widths
of layers, the multiplications of a forward pass, the loss that fits the type of the answers. `bounds` holds guaranteed
bounds on outputs.
"""
