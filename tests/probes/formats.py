"""Binary floating-point formats by their definition: what a pattern means, and which is nearest."""

from typing import NamedTuple

import numpy as np


class Format(NamedTuple):
    """Sign, exponent and fraction, as IEEE 754 lays them out. Patterns are unsigned integers."""

    exponent_bits: int
    fraction_bits: int

    @property
    def infinity(self) -> int:
        return (2**self.exponent_bits - 1) << self.fraction_bits

    @property
    def sign(self) -> int:
        return 1 << (self.exponent_bits + self.fraction_bits)

    @property
    def nan(self) -> int:
        """The one that the hardware makes: all bits but the sign."""
        return self.sign - 1

    def magnitudes(self, patterns: np.ndarray) -> np.ndarray:
        """The absolute values; infinity's is that of the next power of two, and NaNs have none."""
        bias = 2 ** (self.exponent_bits - 1) - 1
        exponent = patterns >> self.fraction_bits & (2**self.exponent_bits - 1)
        fraction = patterns & (2**self.fraction_bits - 1)
        significand = fraction + ((exponent > 0) << self.fraction_bits)
        power = np.maximum(exponent, 1) - bias - self.fraction_bits
        return np.ldexp(significand.astype(np.float64), power)

    def values(self, patterns: np.ndarray) -> np.ndarray:
        patterns = patterns.astype(np.int64)
        magnitude_bits = patterns & self.nan
        values = self.magnitudes(patterns)
        values[magnitude_bits == self.infinity] = np.inf
        values[magnitude_bits > self.infinity] = np.nan
        return np.where(patterns & self.sign, -values, values)

    def halfway(self) -> np.ndarray:
        """What lies halfway between neighbours; the last is from where on numbers are infinite."""
        grid = self.magnitudes(np.arange(self.infinity + 1))
        return (grid[:-1] + grid[1:]) / 2

    def nearest(self, numbers: np.ndarray, ties_away: bool = False) -> np.ndarray:
        """The patterns nearest to float64 numbers; of two as near, the even one."""
        grid = self.magnitudes(np.arange(self.infinity + 1))
        magnitudes = np.abs(numbers)
        above = np.minimum(np.searchsorted(grid, magnitudes), self.infinity)
        below = np.maximum(above - 1, 0)
        with np.errstate(invalid="ignore"):
            to_above, to_below = grid[above] - magnitudes, magnitudes - grid[below]
        tie_up = ties_away | (above % 2 == 0)
        up = (to_above < to_below) | ((to_above == to_below) & tie_up)
        patterns = np.where(up | (magnitudes >= grid[-1]), above, below)
        patterns = np.where(np.signbit(numbers), patterns | self.sign, patterns)
        return np.where(np.isnan(numbers), self.nan, patterns)

    def one_nan(self, patterns: np.ndarray) -> np.ndarray:
        """The patterns, all NaNs the same."""
        return np.where(patterns & self.nan > self.infinity, self.nan, patterns)


FLOAT16 = Format(5, 10)
BFLOAT16 = Format(8, 7)
TFLOAT32 = Format(8, 10)  # the upper 19 bits of a float32
FLOAT32 = Format(8, 23)


def bits_of(numbers: np.ndarray) -> np.ndarray:
    """The patterns of float32."""
    return numbers.astype(np.float32).view(np.uint32)
