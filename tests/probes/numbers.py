"""Functions of single numbers: from one type to another, and approximations."""

from collections.abc import Iterator

import numpy as np

from probes.case import Case, Cases, cases, random
from probes.formats import BFLOAT16, FLOAT16, FLOAT32, TFLOAT32, Format, bits_of

ELEMENTS = 65536  # of a probe


def special_floats() -> np.ndarray:
    """Patterns of float32: NaNs of all kinds, and where formats begin, end and overflow."""
    nans = [0x7FC00000, 0x7FFFFFFF, 0x7FBFFFFF, 0x7F802000, 0x7F801FFF, 0x7F800001]
    ends = [0, 1, 0x007FFFFF, 0x00800000, 0x3F800000, 0x7F7FFFFF, 0x7F7FEFFF, 0x7F7FF000]
    ends += [0x7F7F7FFF, 0x7F7F8000, 0x7F800000, 0x33000000, 0x33000001, 0x33800000, 0x387FFFFF]
    ends += [0x477FE000, 0x477FEFFF, 0x477FF000]  # 65504, 65520 and what lies just below it
    magnitudes = np.array([*nans, *ends], np.uint32)
    return np.concatenate([magnitudes, magnitudes | 1 << 31])


def any_floats() -> Iterator[tuple[str, np.ndarray]]:
    yield "random", random(np.uint32, ELEMENTS)
    yield "special", special_floats()


def floats_around(to: Format) -> Iterator[tuple[str, np.ndarray]]:
    """Sets of float32 patterns that a conversion may get wrong."""
    rng = np.random.default_rng(0)
    halfway = bits_of(rng.permutation(to.halfway())[: ELEMENTS // 2])
    halfway = np.concatenate([halfway, halfway | 1 << 31])
    exact = rng.permutation(to.magnitudes(np.arange(to.infinity)))[: ELEMENTS // 2]
    yield "exact", bits_of(np.concatenate([exact, -exact]))
    yield "ties", halfway
    yield "above ties", halfway + 1
    yield "below ties", halfway - 1
    yield from any_floats()


def filled(patterns: np.ndarray) -> np.ndarray:
    return np.resize(patterns, ELEMENTS)


@cases("float_bits")
def float_bits() -> Cases:
    for name, patterns in any_floats():
        given = filled(patterns)
        with np.errstate(over="ignore", invalid="ignore"):
            twice = given.view(np.float32) + given.view(np.float32)
        expected = np.stack([given, twice.view(np.uint32)], 1)
        yield name, Case(given, expected, FLOAT32)


@cases("wide_types")
def wide_types() -> Cases:
    for name, patterns in any_floats():
        given = filled(patterns)
        yield name, Case(given, np.stack([given, given, given], 1), FLOAT32)


@cases("widen_float16", FLOAT16)
@cases("widen_bfloat16", BFLOAT16)
def widen(of: Format) -> Cases:
    given = np.arange(ELEMENTS).astype(np.uint16)
    yield "all", Case(given, bits_of(of.values(given)), FLOAT32)


@cases("narrow_float16", FLOAT16)
@cases("narrow_bfloat16", BFLOAT16)
def narrow(to: Format) -> Cases:
    for name, patterns in floats_around(to):
        given = filled(patterns)
        nearest = to.nearest(FLOAT32.values(given))
        yield name, Case(given, nearest.astype(np.uint16), to)


@cases("narrow_pair_float16", FLOAT16)
@cases("narrow_pair_bfloat16", BFLOAT16)
def narrow_pair(to: Format) -> Cases:
    rng = np.random.default_rng(1)
    patterns = np.concatenate([filled(patterns) for _, patterns in floats_around(to)])
    for i, given in enumerate(rng.permutation(patterns).reshape(-1, ELEMENTS)):
        nearest = to.nearest(FLOAT32.values(given))
        yield f"part {i}", Case(given, nearest.astype(np.uint16), to)


@cases("round_tf32")
def round_tf32() -> Cases:
    for name, patterns in floats_around(TFLOAT32):
        given = filled(patterns)
        numbers = FLOAT32.values(given)
        nearest = TFLOAT32.nearest(numbers, ties_away=True).astype(np.uint32) << 13
        # The machine code that ptxas makes of it rounds finite numbers only and clears 13 bits.
        expected = np.where(np.isfinite(numbers), nearest, given & 0xFFFFE000)
        yield name, Case(given, expected.astype(np.uint32), FLOAT32)


@cases("maxima")
def maxima() -> Cases:
    """Of zero and of one with each number; NaN stays."""
    for name, patterns in any_floats():
        given = filled(patterns)
        numbers = FLOAT32.values(given)
        results = np.stack([np.maximum(numbers, 0), np.maximum(1, numbers)], 1)
        yield name, Case(given, bits_of(results.astype(np.float32)), FLOAT32)


@cases("approximations")
def approximations() -> Cases:
    """Two ways to compute them may each be off by as much as the device layer promises.

    What is subnormal counts as zero, both what is given and what comes out.
    """
    least = 2.0**-126
    exponents = np.random.default_rng(0).uniform(-160, 140, ELEMENTS)
    for name, patterns in [*any_floats(), ("exponents", bits_of(exponents))]:
        given = filled(patterns)
        with np.errstate(all="ignore"):
            numbers = FLOAT32.values(given)
            numbers = np.where(np.abs(numbers) < least, np.copysign(0, numbers), numbers)
            results = np.stack([np.exp2(numbers), 1 / numbers], 1).astype(np.float32)
            tolerance = 2 * np.abs(results.astype(np.float64)) * [2.0**-22, 2.0**-23] + least
        tolerance[~np.isfinite(results)] = 0
        yield name, Case(given, bits_of(results), FLOAT32, tolerance)
