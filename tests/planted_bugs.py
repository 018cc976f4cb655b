"""The planted bugs: what each kernel gives without its bug, and who reports the bug how.

The kernels are those of emulation/planted.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from emulation.emulator import Run

KERNELS = Path(__file__).parent / "emulation" / "planted"

# The columns of the table of bugs: ways to run in plain mode, 16 seeds each, and the sanitizers.
PLAIN_RUNS = {
    f"{schedule} {'late' if late else 'early'}": [
        Run(schedule, late, seed, resident_blocks=1 if schedule == "order" else 2)
        for seed in range(16)
    ]
    for schedule in ("order", "shuffle", "priorities")
    for late in (False, True)
}
COLUMNS = (*PLAIN_RUNS, "asan", "tsan")

# Who reports: in `all` runs, in `some`, in `none`, or by `luck` in so few that none need be. Order
# has no randomness, so there it is all or none. Early and late differ for copies only.
#             order     shuffle   priorities asan tsan
ALWAYS = "    all  all  all  all  all  all   all  all"
LATE = "      none all  none all  none all   some some"
MIXED = "     all  all  some some some some  some all"
FIRST = "     all  all  some some some some  some some"
UNORDERED = " none none some some some some  some all"
HALVES = "    none none some some some some  luck all"
TICKETS = "   all  all  luck luck some some  some all"
SELDOM = "    none none luck luck luck luck  luck all"
RACE_ONLY = " none none none none none none  none all"
REFILLED = "  none all  none all  none some  some all"
REPLACED = "  none all  none all  none all   some some"
ASAN_ONLY = " none none none none none none  all  none"
OUT_OF_SCOPE = "luck luck luck luck luck luck all luck"

NAN, WRONG, RACE = "NaN in the result", "wrong result", "data race"
EARLY = "load_global: reads workspace at byte ... before it is written"
ALIGNED = "misaligned: the address is ... off a multiple of"
DIVERGED = "the warp has diverged: other lanes wait at"
EXITED = "another lane of the warp has exited"

X = np.arange(1, 1025, dtype=np.float32)  # the input of every kernel
PAIRS = X[:32].reshape(16, 2)[:, ::-1].ravel()  # swapped
ROWS = X[:32].reshape(8, 4)[::-1].ravel()  # from the last to the first
COPIES = X[:256:4][::-1]
RING = X.reshape(4, 64, 4)[..., 0].sum(0)[::-1]
PRODUCT = np.tile(8 * X[:8:2], 8)
BOXES = X.reshape(2, 512)[:, ::8]
TOP_HALVES = (X.view(np.uint32) & 0xFFFF0000).view(np.float32)
PICKED = np.r_[TOP_HALVES.reshape(32, 32)[:, :8].ravel(), np.zeros(32 * 8, np.float32)]
SWAPPED = X[:64].reshape(2, 32)[::-1].ravel()  # by the blocks of a cluster
SWAPPED_64 = X[:128].reshape(2, 64)[::-1].ravel()
SHARED_BOXES = np.tile(7 * BOXES[0] + 5 * BOXES[1], 2)
BLOCKS, WARPS = X[:64] + X[64:128], X[:32] + X[32:64]


class Bug(NamedTuple):
    """A kernel by name, what it gives without its bug, what reports say, and who reports.

    Each report is one of ``says``, in which ... stands for anything. ``seen`` has a word for each
    of COLUMNS.
    """

    name: str
    result: "np.ndarray[Any, Any]"
    says: tuple[str, ...]
    seen: str = ALWAYS


SHARED_MEMORY = (
    Bug("missing_block_barrier", X[:32], (NAN, RACE), UNORDERED),
    Bug("overwritten_before_read", X[:512], (WRONG, RACE), MIXED),
    Bug("missing_warp_sync", np.r_[X[:1], X[:31]], (NAN, RACE), UNORDERED),
    Bug("shuffle_as_warp_sync", PAIRS, (RACE,), RACE_ONLY),
    Bug("arrives_before_store", X[:32], (NAN, RACE), UNORDERED),
    Bug("past_shared_buffer", X[:32], ("load_shared: 4 bytes ... of buffer 0, which has 128",)),
    Bug("shared_never_written", X[:32], (NAN,)),
    Bug("misaligned_shared_load", X[:32], (f"load_shared: {ALIGNED} 8 bytes",)),
    Bug("shared_beyond_launch", X[:32], ("SharedMemory::take: ... the launch gives 4096 bytes",)),
    Bug("lanes_lay_out_differently", X[:32], ("SharedMemory::take: ... another thread took ...",)),
)
COPY_ASYNC = (
    Bug("wait_one_group_short", X[256:512:4][::-1], (NAN,), LATE),
    Bug("missing_commit", COPIES, (NAN,), LATE),
    Bug("wait_without_barrier", COPIES, (NAN, RACE), MIXED),
    Bug("refill_before_barrier", RING, (NAN, WRONG, RACE), MIXED),
    Bug("copy_past_tensor", X[768::4][::-1], ("copy_async: 16 bytes ... of in, which has 4096",)),
    Bug("copy_past_stage", COPIES, ("copy_async: 16 bytes ... of buffer 0, which has 1024",)),
    Bug("misaligned_copy", COPIES, (f"copy_async: {ALIGNED} 16 bytes",)),
    Bug("misaligned_copy_target", COPIES, (f"copy_async: {ALIGNED} 16 bytes",)),
)
COLLECTIVES = (
    Bug("divergent_shuffle", X[31::-1], (f"shuffle: {DIVERGED} shuffle",)),
    Bug("divergent_load_matrix", ROWS, (f"load_matrix: {DIVERGED} load_matrix",)),
    Bug(
        "load_matrix_by_few_lanes",
        ROWS,
        (f"load_matrix: {EXITED}", "exit: other lanes wait at load_matrix"),
    ),
    Bug("misaligned_load_matrix", ROWS, (f"load_matrix: {ALIGNED} 16 bytes",)),
    Bug("divergent_mma", PRODUCT, (f"mma: {DIVERGED} mma",)),
    Bug("tf32_not_rounded", PRODUCT, ("mma: an operand is not rounded to tf32",)),
    Bug("divergent_block_barrier", X[:64], (f"sync_block: {DIVERGED} sync_block",)),
    Bug(
        "lane_arrives_for_warp",
        X[:32],
        (f"arrive_named: {EXITED}", "exit: other lanes wait at arrive_named"),
    ),
    Bug(
        "exit_before_block_barrier",
        X[:64],
        ("exit: other threads wait at sync_block", "deadlock: ... wait at sync_block;"),
    ),
    Bug(
        "exit_before_shuffle",
        PAIRS,
        ("exit: other lanes wait at shuffle_xor", f"shuffle_xor: {EXITED}"),
    ),
    Bug("deadlock", X[:64], ("deadlock: block 0, threads 0 to 63 wait at sync_named;",)),
    Bug("barrier_counts_disagree", X[:64], ("sync_named: barrier 1 for ... others came for ...",)),
    Bug("no_such_barrier", X[:64], ("sync_named: barrier 16, not 1 to 15",)),
    Bug("barrier_for_half_a_warp", X[:64], ("sync_named: 48 threads, not a multiple of 32",)),
)
CLUSTERS = (
    Bug(
        "read_before_cluster_barrier",
        SWAPPED,
        ("load_cluster: before the first barrier of the cluster",),
    ),
    Bug(
        "exit_while_read",
        SWAPPED,
        (
            "load_cluster: block ... of the cluster has ended",
            "exit: the block ends, whose shared memory others have read since ...",
        ),
    ),
    Bug("refill_before_cluster_barrier", np.r_[SWAPPED, SWAPPED + 64], (WRONG, RACE), MIXED),
    Bug("cluster_arrival_before_store", SWAPPED, (NAN, RACE), UNORDERED),
    Bug("rank_beyond_cluster", SWAPPED, ("load_cluster: rank 2 in a cluster of 2",)),
    Bug("wait_without_arrival", SWAPPED_64, ("wait_cluster: no arrive_cluster before it",)),
    Bug(
        "arrival_without_wait",
        SWAPPED,
        ("exit: the thread has not waited for the cluster, where it has arrived",),
    ),
    Bug("divergent_cluster_barrier", SWAPPED, (f"arrive_cluster: {DIVERGED} arrive_cluster",)),
    Bug(
        "cluster_deadlock",
        SWAPPED_64,
        ("deadlock: block 0, threads 0 to 31 wait at wait_cluster; ... at sync_block;...",),
    ),
)
GLOBAL_MEMORY = (
    Bug(
        "read_before_prerequisites",
        X[:64],
        ("load_global: no wait_for_prerequisites before it",),
    ),
    Bug(
        "dependents_before_prerequisites",
        X[:64],
        ("launch_dependents: no wait_for_prerequisites before it",),
    ),
    Bug(
        "load_constant_behind_prerequisites",
        X[:64],
        ("load_constant: ld.global.nc of in, which the launch before may write",),
    ),
    Bug("past_tensor", X[-64:], ("load_constant: 4 bytes at byte 4096 of in, which has 4096",)),
    Bug("past_output", X[:33], ("store_global: 16 bytes at byte 128 of out, which has 132",)),
    Bug("output_never_written", X[:64], ("out: byte 160 of 256 was never written",)),
    Bug("misaligned_load", X[:256:4], (f"load_constant: {ALIGNED} 16 bytes",)),
    Bug("misaligned_store", X[:128], (f"store_global: {ALIGNED} 8 bytes",)),
    Bug("writes_input", X[:64], ("store_global: writes in, which is an input",)),
    Bug("load_constant_of_written", X[:64], ("load_constant: ... workspace, which kernels write",)),
    Bug("workspace_never_written", X[:64], (EARLY,)),
    Bug("two_blocks_one_output", X[:64], (WRONG, RACE), HALVES),
    Bug("two_threads_one_output", X[:64], (RACE,), RACE_ONLY),
    Bug(
        "past_register_array",
        X[:256].reshape(64, 4).sum(1),
        ("index 4 out of bounds for type 'float [4]'",),
        ASAN_ONLY,
    ),
)
SPLIT_K = (
    Bug("arrival_before_barrier", BLOCKS, (EARLY, RACE), SELDOM),
    Bug("missing_release_fence", BLOCKS, (RACE,), RACE_ONLY),
    Bug("fence_before_barrier", BLOCKS, (RACE,), RACE_ONLY),
    Bug("missing_acquire_fence", BLOCKS, (RACE,), RACE_ONLY),
    Bug("partial_sums_without_ticket", BLOCKS, (EARLY, RACE), TICKETS),
    Bug("partial_sums_by_first", BLOCKS, (EARLY, RACE), TICKETS),
    Bug("arrival_before_warp_sync", WARPS, (EARLY, RACE), SELDOM),
    Bug("acquired_by_lane_0_only", WARPS, (RACE,), RACE_ONLY),
)
LEFT = "exit: a copy is under way (copy_box at ...)"
STUCK = "deadlock: ... wait at wait_barrier;..."
LOADED = "copy_box: thread ... has loaded there without a fence_shared behind it"
BOX_COPIES = (
    Bug("wrong_parity", BOXES[0], (WRONG, RACE, STUCK, LEFT, LOADED)),
    Bug(
        "too_few_bytes_expected",
        BOXES[0],
        ("copy_box: its barrier expects 1024 more bytes, and 2048 have come",),
    ),
    Bug("too_many_bytes_expected", BOXES[0], (STUCK,)),
    Bug(
        "missing_barrier_fence",
        BOXES[0],
        ("copy_box: its barrier was initialised without a fence_barriers behind it",),
    ),
    Bug(
        "copy_over_unfenced_store",
        BOXES[0],
        ("copy_box: thread ... has stored there without a fence_shared behind it",),
    ),
    Bug("copy_over_unfenced_load", BOXES[0], (LOADED,)),
    Bug(
        "arrival_beyond_the_count",
        BOXES[0],
        ("arrive: one more than the 1 arrivals of a phase, which still lacks 2048 bytes",),
    ),
    Bug("box_behind_block_barrier", BOXES[0], (LEFT,), LATE),
    Bug("box_past_stage", BOXES[0], ("copy_box: 2048 bytes ... of buffer 0, which has 1024",)),
    Bug("misaligned_box", BOXES[0], (f"copy_box: {ALIGNED} 128 bytes",)),
    Bug("box_of_another_rank", BOXES[0], ("copy_box: 5 coordinates in a tensor of rank 4",)),
    Bug("box_left_under_way", BOXES[0], (LEFT,), LATE),
    Bug(
        "barrier_initialised_late",
        BOXES[0],
        ("wait_barrier: no barrier has been initialised there", RACE),
        FIRST,
    ),
    Bug(
        "two_arrivals_too_many",
        X[:32],
        ("exit: a barrier of 32 arrivals lacks 30 of its last phase", RACE),
    ),
    Bug(
        "box_refilled_before_read",
        BOXES.sum(0),
        (NAN, RACE, "wait_barrier: 2 phases have ended while ...", STUCK, LOADED),
        MIXED,
    ),
    Bug("phase_without_wait", X[:64], ("arrive: nobody has waited for the phase before",)),
)
OF_SHARED_BOXES = (
    Bug(
        "shared_box_before_cluster_barrier",
        SHARED_BOXES,
        ("copy_box_to_all: before the first barrier of the cluster",),
    ),
    Bug(
        "bytes_of_other_block_not_expected",
        SHARED_BOXES,
        (
            "copy_box_to_all: its barrier expects ... more bytes, and 2048 have come",
            "arrive_expecting: 2048 bytes have come that the phase does not expect",
            "exit: a barrier of 1 arrivals lacks 1 of its last phase",
            "exit: a copy is under way (copy_box_to_all at ...)",
            RACE,
        ),
    ),
    Bug("shared_box_refilled_before_read", SHARED_BOXES, (WRONG, NAN, RACE), UNORDERED),
    Bug("other_block_not_told", SHARED_BOXES, (STUCK,)),
    Bug(
        "exit_before_told",
        SHARED_BOXES,
        ("exit: a barrier of 128 arrivals lacks ... of its last phase", RACE),
        FIRST,
    ),
)
OF_PRODUCTS = (
    Bug(
        "missing_products_fence",
        PICKED,
        ("multiply_async: no fence_products before the first product",),
    ),
    Bug(
        "sums_set_behind_fence",
        PICKED,
        ("multiply_async: thread ... has touched sum ... without a fence_products since",),
    ),
    Bug(
        "missing_products_commit",
        PICKED,
        ("exit: products are under way (multiply_async at ...)",),
    ),
    Bug(
        "products_wait_one_group_short",
        PICKED,
        ("exit: products are under way (multiply_async at ...)",),
    ),
    Bug("sums_read_before_wait", PICKED, (NAN,)),
    Bug(
        "sums_touched_before_wait",
        PICKED,
        ("wait_products: thread ... has touched sum 0 with products under way",),
    ),
    Bug(
        "sums_out_of_scope_before_wait",
        PICKED,
        (
            "wait_products: the sums of thread ... of the warpgroup have gone out of scope",
            "wait_products: thread ... has touched sum ... with products under way",  # others there
            NAN,
            WRONG,
        ),
        OUT_OF_SCOPE,
    ),
    Bug(
        "product_of_unfenced_store",
        PICKED,
        ("multiply_async: thread ... has stored what B is without a fence_shared ...",),
    ),
    Bug("operand_refilled_before_wait", PICKED, (WRONG, RACE), REFILLED),
    Bug("fragment_replaced_before_wait", PICKED, (WRONG,), REPLACED),
    Bug(
        "fragment_without_fence",
        PICKED,
        ("multiply_async: A's registers have changed without a fence_products since",),
    ),
    Bug(
        "descriptor_without_swizzle",
        PICKED,
        ("multiply_async: the descriptor of B has no swizzle",),
    ),
    Bug(
        "descriptor_past_rows",
        PICKED,
        ("multiply_async: the descriptor of A goes on past rows' ends",),
    ),
    Bug(
        "descriptor_past_buffer",
        PICKED,
        ("multiply_async: 16 bytes ... of buffer 0, which has 8192",),
    ),
    Bug(
        "divergent_product",
        PICKED,
        ("multiply_async: the warpgroup has diverged: other warps wait at multiply_async",),
    ),
    Bug(
        "product_by_three_warps",
        PICKED,
        ("deadlock: ... wait at multiply_async;", "exit: products are under way ..."),
    ),
    Bug(
        "product_of_other_operands",
        PICKED,
        ("multiply_async: another thread of the warpgroup gives other operands",),
    ),
)
ASYNCHRONOUS = (*COPY_ASYNC, *BOX_COPIES, *OF_PRODUCTS)
BUGS = (
    *SHARED_MEMORY,
    *COPY_ASYNC,
    *BOX_COPIES,
    *COLLECTIVES,
    *CLUSTERS,
    *OF_SHARED_BOXES,
    *GLOBAL_MEMORY,
    *OF_PRODUCTS,
    *SPLIT_K,
)
