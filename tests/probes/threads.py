"""Who a thread is; how threads meet, exchange words and count."""

import numpy as np

from probes.case import WARP, Case, Cases, cases, random


@cases("ids")
def ids() -> Cases:
    block, y, x = np.indices((3, 9, 8))
    lane, of_all = (8 * y + x) % 32, np.ones_like(x)
    numbers = (x, y, 8 * of_all, 9 * of_all, block, 3 * of_all, lane, 32 * of_all)
    yield "ids", Case(np.empty(0, np.uint32), np.stack(numbers, -1).astype(np.uint32))


@cases("sync_block", 128)
@cases("sync_warp", 32)
@cases("sync_named", 64)
def exchange(count: int) -> Cases:
    words = random(np.uint32, 128 // count, count)
    yield "random", Case(words, words[:, ::-1])


@cases("arrive_named")
def arrive_named() -> Cases:
    words = random(np.uint32, 5, 32)  # of each round
    yield "random", Case(words, np.stack([np.roll(words, -1, 1), np.roll(words, -2, 1)], 1))


@cases("pass_registers")
def pass_registers() -> Cases:
    words = random(np.uint32, 384)
    yield "random", Case(words, words)


@cases("shuffles")
def shuffles() -> Cases:
    words = random(np.uint32, 2, 32, 3)  # of two warps
    value, source, mask = np.moveaxis(words, -1, 0)
    lanes = np.stack([source % 32, (WARP ^ mask) % 32], -1)
    found = [value[warp][lanes[warp]] for warp in range(2)]
    yield "random", Case(words, np.stack(found))


@cases("atomic_adds")
def atomic_adds() -> Cases:
    words = random(np.uint32, 32, 2)
    first, both = words[:, 0], words.sum(1, dtype=np.uint32)
    old = np.stack([np.zeros_like(first), first, both], 1)
    yield "random", Case(words, np.concatenate([old, old], 1))


@cases("tickets")
def tickets() -> Cases:
    numbers = np.arange(256, dtype=np.uint32)
    yield "all", Case(np.empty(0, np.uint32), np.stack([numbers, numbers]))


@cases("last_block")
@cases("last_block_fences")
def last_block() -> Cases:
    words = random(np.uint32, 4, 64)
    yield "random", Case(words, np.append(words, words.sum(0, dtype=np.uint32)))
