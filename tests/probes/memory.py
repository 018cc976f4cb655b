"""Loads, stores and copies."""

import numpy as np

from probes.case import WARP, Case, Cases, cases, random


@cases("reverse_16", np.uint16, 1)
@cases("reverse_32", np.uint32, 1)
@cases("reverse_64", np.uint64, 1)
@cases("reverse_128", np.uint64, 2)
def reverse(dtype: type, parts: int) -> Cases:
    words = random(dtype, 256, parts)
    yield "random", Case(words, words[::-1])


@cases("load_written_16", np.uint16, 1)
@cases("load_written_32", np.uint32, 1)
@cases("load_written_64", np.uint64, 1)
@cases("load_written_128", np.uint64, 2)
def load_written(dtype: type, parts: int) -> Cases:
    words = random(dtype, 2, 128, parts)  # of two blocks
    yield "random", Case(words, np.stack([words, words[:, ::-1]]))


@cases("shared_128_64", np.uint64, 1)
@cases("shared_64_32", np.uint32, 1)
@cases("shared_32_128", np.uint64, 2)
def shared_words(loaded: type, parts: int) -> Cases:
    words = random(loaded, 2048 // np.dtype(loaded).itemsize // parts, parts)
    yield "random", Case(words, words[::-1])


@cases("shared_buffers")
def shared_buffers() -> Cases:
    words = random(np.uint32, 64)
    yield "random", Case(words, np.append(words, np.array([0, 1], np.uint32)))


@cases("copy_bytes")
def copy_bytes() -> Cases:
    given = random(np.uint8, 32, 16)
    asked = np.where(WARP <= 16, WARP, 16)
    yield "random", Case(given, np.where(np.arange(16) < asked[:, None], given, np.uint8(0)))


@cases("copy_groups")
def copy_groups() -> Cases:
    words = random(np.uint32, 3, 64, 4)
    yield "random", Case(words, np.stack([words[0], words[1], words[2, ::-1]]))
