# SPDX-License-Identifier: MIT
"""A fuzzer that needs nothing but Python: seeds, changed at random, again and again.

It does not see which code an input reached; atheris does, and `run.py` prefers it.  This
one serves where atheris is not to be had, and in CI, where equal runs matter more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

_LONGEST = 4096


def inputs(seeds: Sequence[bytes], tokens: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Endless inputs, the same for the same `seed`: first the seeds as they are."""
    random = Random(seed)
    yield from seeds
    while True:
        data = bytearray(random.choice(seeds) if seeds and random.random() < 0.7 else b"")
        if not data:
            data += random.randbytes(random.randint(0, 400))
        for _ in range(random.randint(1, 6)):
            _change(data, random, seeds, tokens)
        yield bytes(data[:_LONGEST])


def _change(
    data: bytearray, random: Random, seeds: Sequence[bytes], tokens: Sequence[bytes]
) -> None:
    at = random.randint(0, len(data))
    to = min(len(data), at + random.choice((1, 1, 2, 4, 16, 64)))
    match random.randrange(8):
        case 0:
            data[at:to] = random.randbytes(to - at)
        case 1:
            del data[at:to]
        case 2:
            data[at:at] = random.randbytes(random.randint(1, 32))
        case 3:
            data[at:at] = data[at:to] * random.randint(1, 8)
        case 4 if at < len(data):
            data[at] ^= 1 << random.randrange(8)
        case 5 if seeds:
            other = random.choice(seeds)
            start = random.randint(0, len(other))
            data[at:to] = other[start : start + random.randint(1, 64)]
        case 6 if at < len(data):
            data[at] = random.choice((0, 1, 0x0A, 0x20, 0x3D, 0x7F, 0x80, 0xFF))
        case _ if tokens:
            data[at:at] = random.choice(tokens)
