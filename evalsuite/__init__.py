"""evalsuite: how far can a trained network be pruned before each kind of robustness breaks?"""

__version__ = "0.1.0"
