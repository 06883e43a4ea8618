"""Changes to an input: each takes a random source and the input, and gives another input.

Those of `plain` know nothing of a format; the others take a format apart, change one piece and put it together again,
so that checksums, lengths and brackets hold and the reader looks further than at its first bytes.
"""

from collections.abc import Callable
from random import Random

Mutation = Callable[[Random, bytes], bytes]
