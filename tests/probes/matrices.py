"""Fragments of matrices, and their products."""

import numpy as np

from probes.case import WARP, Case, Cases, cases
from probes.formats import BFLOAT16, FLOAT16, FLOAT32, TFLOAT32, Format, bits_of


@cases("load_matrix_1", 1, False)
@cases("load_matrix_2", 2, False)
@cases("load_matrix_4", 4, False)
@cases("load_matrix_transposed_1", 1, True)
@cases("load_matrix_transposed_2", 2, True)
@cases("load_matrix_transposed_4", 4, True)
def load_matrix(count: int, transposed: bool) -> Cases:
    """A fragment is the matrix word by word; lanes that give no row give no valid address."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(65536)[:256].astype(np.uint16).reshape(32, 8)
    numbers = rng.integers(0, 32, 32, np.uint32)
    matrices = rows[numbers[: 8 * count]].reshape(count, 8, 8)
    if transposed:
        matrices = matrices.swapaxes(1, 2)
    words = np.ascontiguousarray(matrices).view(np.uint32).reshape(count, 32)
    numbers[8 * count :] = 1 << 27
    data = np.concatenate([rows.view(np.uint32).reshape(-1), numbers])
    yield "distinct", Case(data, np.ascontiguousarray(words.T))


GROUP, MEMBER = WARP[:, None] // 4, WARP[:, None] % 4  # of the quad; the manual's names
Place = tuple[np.ndarray, np.ndarray]  # row and column of each lane's elements


def places(depth: int) -> tuple[Place, Place, Place]:
    """Where the elements of a, b and the sums lie that a lane holds, as the manual tells it."""
    i = np.arange(4)
    sums = np.where(i < 2, GROUP, GROUP + 8), 2 * MEMBER + i % 2
    if depth == 8:
        a = np.where(i % 2 == 0, GROUP, GROUP + 8), np.where(i < 2, MEMBER, MEMBER + 4)
        b = np.where(i[:2] == 0, MEMBER, MEMBER + 4), GROUP + 0 * i[:2]
        return a, b, sums
    j = np.arange(8)
    upper = (j < 2) | ((j >= 4) & (j < 6))
    a = np.where(upper, GROUP, GROUP + 8), 2 * MEMBER + j % 2 + np.where(j < 4, 0, 8)
    b = 2 * MEMBER + i % 2 + np.where(i < 2, 0, 8), GROUP + 0 * i
    return a, b, sums


def held(matrices: np.ndarray, place: Place) -> np.ndarray:
    """Of a number of matrices: what each lane holds."""
    return np.ascontiguousarray(matrices[:, place[0], place[1]])


def operands(depth: int) -> dict[str, list[np.ndarray]]:
    """By name: eight of a, of b and of the sums."""
    rng = np.random.default_rng(0)
    shapes = (8, 16, depth), (8, depth, 8), (8, 16, 8)
    integers = [rng.integers(-8, 9, shape).astype(np.float64) for shape in shapes]
    normal = [rng.standard_normal(shape) for shape in shapes]
    special = [x.copy() for x in integers]
    special[0][0, 3, 5] = special[1][1, 2, 4] = special[2][2, 9, 3] = np.nan
    special[0][3, 1, 6], special[1][4, 7, 0], special[2][5, 15, 7] = np.inf, -np.inf, np.inf
    return {"integers": integers, "normal": normal, "special": special}


@cases("mma_float16", FLOAT16, 16)
@cases("mma_bfloat16", BFLOAT16, 16)
@cases("mma_float32", TFLOAT32, 8)
def mma(of: Format, depth: int) -> Cases:
    at_a, at_b, at_sum = places(depth)
    for name, (a, b, c) in operands(depth).items():
        a_bits, b_bits = of.nearest(a), of.nearest(b)
        a, b, c = of.values(a_bits), of.values(b_bits), c.astype(np.float32).astype(np.float64)
        if depth == 8:
            a_bits, b_bits = ((bits << 13).astype(np.uint32) for bits in (a_bits, b_bits))
        else:
            a_bits, b_bits = (bits.astype(np.uint16) for bits in (a_bits, b_bits))
        words = [held(a_bits, at_a).view(np.uint32), held(b_bits, at_b).view(np.uint32)]
        data = np.concatenate([*words, bits_of(held(c, at_sum))], -1)
        with np.errstate(invalid="ignore"):
            expected = bits_of(held(c + a @ b, at_sum))
            size = held(np.abs(a) @ np.abs(b) + np.abs(c), at_sum)
        # A term may lose what lies below the 24th bit of the largest, and so may a sum.
        tolerance = (depth + 4) * 2.0**-23 * size if name == "normal" else None
        yield name, Case(data, expected, FLOAT32, tolerance)
