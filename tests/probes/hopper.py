"""What Hopper has: barriers that count, clusters, boxes of tensors, products of warpgroups."""

import numpy as np

from probes.case import Case, Cases, cases, random
from probes.formats import BFLOAT16, FLOAT16, FLOAT32, Format, bits_of

HOPPER: set[str] = set()  # the names of these probes


def on_hopper(name: str, *arguments: object):  # type: ignore[no-untyped-def]
    HOPPER.add(name)
    return cases(name, *arguments)


@on_hopper("count_arrivals")
def count_arrivals() -> Cases:
    words = random(np.uint32, 5, 32)  # of each round
    yield "random", Case(words, np.stack([np.roll(words, -1, 1), np.roll(words, -2, 1)], 1))


@on_hopper("copy_behind_prerequisites")
def copy_behind_prerequisites() -> Cases:
    words = random(np.uint32, 2 * 64)
    yield "random", Case(words, words)


@on_hopper("pass_round_2_32", 2, np.uint32, 1)
@on_hopper("pass_round_4_64", 4, np.uint64, 1)
@on_hopper("pass_round_4_128", 4, np.uint64, 2)
def pass_round(blocks: int, dtype: type, parts: int) -> Cases:
    words = random(dtype, 2, blocks, 64, parts)  # of two clusters
    rounds = [words]
    for _ in range(blocks):
        rounds.append(np.roll(rounds[-1], -1, 1)[:, :, ::-1])
    yield "random", Case(words, np.stack(rounds[1:]))


def box_of(tensor: np.ndarray, first: tuple[int, ...], box: tuple[int, ...]) -> np.ndarray:
    """The box that begins there, outermost dimension first; zeros where the tensor has ended."""
    result = np.zeros(box, tensor.dtype)
    for place in np.ndindex(*box[:-1]):
        row = [a + b for a, b in zip(place, first, strict=False)]
        if not all(0 <= i < size for i, size in zip(row, tensor.shape, strict=False)):
            continue
        for i in range(box[-1]):
            if 0 <= first[-1] + i < tensor.shape[-1]:
                result[place][i] = tensor[(*row, first[-1] + i)]
    return result


@on_hopper("copy_box_3")
def copy_box_3() -> Cases:
    """As transposed weights are loaded."""
    weight = random(np.uint16, 20, 3, 72)
    yield "random", Case(weight, box_of(weight.transpose(1, 0, 2), (2, 12, 8), (1, 16, 64)))


@on_hopper("copy_box_4")
def copy_box_4() -> Cases:
    maps = random(np.uint16, 2, 3, 5, 40)
    yield "random", Case(maps, box_of(maps, (1, 1, -1, -8), (2, 3, 4, 64)))


@on_hopper("copy_box_5")
def copy_box_5() -> Cases:
    """As weights are loaded: row 8 i + 2 j + k of 24 comes to place 8 j + 2 i + k."""
    weight = random(np.uint16, 24, 3, 72)
    # (i, j, k, tap, channel) to the map's order, the tap outermost
    tensor = weight.reshape(3, 4, 2, 3, 72).transpose(3, 1, 0, 2, 4)
    yield "random", Case(weight, box_of(tensor, (2, 0, 1, 0, 8), (1, 4, 4, 2, 64)))


@on_hopper("share_boxes")
def share_boxes() -> Cases:
    boxes = random(np.uint16, 2, 3, 16, 64)  # of two clusters, in each round
    yield "random", Case(boxes, np.repeat(boxes, 2, axis=0))


@on_hopper("store_matrix")
def store_matrix() -> Cases:
    words = random(np.uint32, 32, 4)  # of each lane, one of each matrix
    yield "random", Case(words, words.reshape(8, 4, 4).transpose(2, 0, 1))


@on_hopper("store_box")
def store_box() -> Cases:
    box = random(np.uint16, 2, 4, 7, 64)
    yield "random", Case(box, box[:, 1:, 1:6, 8:48])


def patches(columns: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By name: 10 x 10 pixels of 64 channels, and the rows that they are multiplied with."""
    rng = np.random.default_rng(0)
    shapes = (10, 10, 64), (columns, 64)
    integers = [rng.integers(-8, 9, shape).astype(np.float64) for shape in shapes]
    normal = [rng.standard_normal(shape) for shape in shapes]
    picked = integers[0], np.eye(64)[np.arange(columns) % 64]  # one channel to a column
    special = [x.copy() for x in integers]
    special[0][3, 5, 7] = special[1][columns - 1, 60] = np.nan
    special[0][8, 1, 20], special[1][2, 33] = np.inf, -np.inf
    return {
        "integers": (integers[0], integers[1]),
        "normal": (normal[0], normal[1]),
        "picked": picked,
        "special": (special[0], special[1]),
    }


def multiply(of: Format, columns: int, transposed: bool = False) -> Cases:
    """The patch that begins at the second pixel of the second row; sums begin with 1."""
    thread, index = np.indices((128, columns // 2))
    row = thread // 32 * 16 + index % 4 // 2 * 8 + thread % 32 // 4
    column = index // 4 * 8 + thread % 4 * 2 + index % 2
    for name, matrices in patches(columns).items():
        bits = [of.nearest(x).astype(np.uint16) for x in matrices]
        a, b = of.values(bits[0])[1:9, 1:9].reshape(64, 64), of.values(bits[1]).T
        with np.errstate(invalid="ignore"):
            expected = bits_of((1 + a @ b)[row, column])
            size = (1 + np.abs(a) @ np.abs(b))[row, column]
        tolerance = (64 + 8) * 2.0**-23 * size if name == "normal" else None
        bits[1] = bits[1].T if transposed else bits[1]
        data = np.concatenate([x.reshape(-1) for x in bits])
        yield name, Case(data, expected, FLOAT32, tolerance)


SHAPES = {
    "": (32, 64, 128, 160),
    "_transposed": (32, 64, 128, 160),
    "_registers": (32, 64),
    "_transposed_registers": (32, 64, 96, 128, 192),
}
on_hopper("multiply_stored_64", BFLOAT16, 64)(multiply)
for name, of in {"bfloat16": BFLOAT16, "float16": FLOAT16}.items():
    for suffix, shapes in SHAPES.items():
        for columns in shapes:
            transposed = suffix.startswith("_transposed")
            on_hopper(f"multiply_{name}_{columns}{suffix}", of, columns, transposed)(multiply)
