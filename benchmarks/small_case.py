"""``python -m benchmarks.small_case``: OctConv2d on small odd shapes, checked but not timed.

What a memory or race checker can run in a minute: each dtype and kernel size, forward and backward,
with borders and incomplete tiles, and, with OCTCONV_CUDA_TRIAL=1, sums over channels that blocks
share. Exit code 1: a result was wrong.
"""

import argparse
import itertools
import sys
from collections.abc import Sequence

import torch

from .harness import Case, check_case
from .layer_list import HEADLINE_ALPHA, Layer

__all__ = ["main"]

LAYERS = (
    Layer("3x3", (13, 11), 32, 48, 3, (2,), 2),
    Layer("1x1", (9, 10), 48, 16, 1, (2,), 2),
    Layer("3x3 split", (13, 11), 272, 272, 3, (2,), 2),
    Layer("1x1 split", (9, 10), 1040, 1040, 1, (2,), 2),
)
MODES = ("forward", "forward_backward")  # without gradients another path may serve the forward


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line per case; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.small_case", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = torch.device(parser.parse_args(argv).device)
    dtypes = ("bfloat16", "float16", "tf32" if device.type == "cuda" else "float32")
    wrong = False
    for layer, dtype, mode in itertools.product(LAYERS, dtypes, MODES):
        (batch,) = layer.batches
        entries = (("octconv_cuda", HEADLINE_ALPHA),)
        case = Case(layer, batch, dtype, mode, "noise", entries, bias=True)
        ready, outcome = check_case(case, device)
        for entry in ready:
            print(f"{case}: right, by {entry.kernel}")
        for text in outcome.refused:
            print(f"WRONG: {text}")
        wrong = wrong or bool(outcome.refused)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
