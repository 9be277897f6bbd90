"""The generator that page/random.js documents, in Python: mulberry32 and the noise made from it."""

import math

import numpy as np

NOISE_STREAM = 0x5BD1E995
MASK = 2**32 - 1


def _mulberry32(seed):
    state = seed & MASK
    while True:
        state = (state + 0x6D2B79F5) & MASK
        mixed = (state ^ (state >> 15)) * (state | 1) & MASK
        mixed ^= (mixed + (mixed ^ (mixed >> 7)) * (mixed | 61)) & MASK
        yield mixed ^ (mixed >> 14)


def generator(seed):
    """Endless uniform numbers on [0, 1)."""
    return ((number >> 8) / 2**24 for number in _mulberry32(seed))


def normal(uniform):
    radius = math.sqrt(-2 * math.log(1 - next(uniform)))
    return radius * math.cos(2 * math.pi * next(uniform))


def normals(uniform, *shape):
    return np.array([normal(uniform) for _ in range(math.prod(shape))], np.float32).reshape(shape)


def mixture(uniform, rows, width):
    noise = [[next(uniform), *(normal(uniform) for _ in range(width - 1))] for _ in range(rows)]
    return np.array(noise, np.float32)
