"""Engines: where work items are computed; `_base` is the contract, one engine a file, whose name is the engine's."""
