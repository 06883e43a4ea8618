"""Hands mutated inputs to everything that reads bytes or text from outside: `make fuzz`, `python -m fuzz`.

Not installed and no part of `make test`; what it found is kept as tests beside those of each reader.
"""
