"""``python -m octconv_cuda.cost resnet50``: the cost of a network of this library over alphas."""

import argparse
import sys
from collections.abc import Sequence

import torch

from .. import models
from . import DEVICES, network_cost, receptive_field, roofline_seconds
from .roofline import ITEM_SIZES

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table; returns 0."""
    args = _parse(argv)
    heads = ["alpha", "GMACs", "", "parameters, M", "activations, M", "", "field, px"]
    if args.device:
        heads.append(f"roofline, us ({args.dtype})")
    rows = [heads]
    first = None
    for alpha in args.alphas:
        try:
            with torch.device("meta"):
                network = getattr(models, args.network)(alpha, **args.variant)
        except ValueError as error:
            print(f"{args.network} at alpha {alpha:g}: {error}", file=sys.stderr)
            return 2
        cost = network_cost(network, (args.batch, 3, args.size, args.size))
        first = first or cost
        rows.append(
            [
                f"{alpha:g}",
                f"{cost.macs / 1e9:.2f}",
                f"{cost.macs / first.macs:.0%}",
                f"{cost.parameters / 1e6:.2f}",
                f"{cost.activations / 1e6:.2f}",
                f"{cost.activations / first.activations:.0%}",
                str(max(max(field) for field in receptive_field(network).values())),
            ]
        )
        if args.device:
            seconds = roofline_seconds(cost, DEVICES[args.device], args.dtype)
            rows[-1].append(f"{1e6 * seconds:.0f}")
    print(f"{args.network}, {args.size} px, batch {args.batch}")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
    if args.device:
        device = DEVICES[args.device]
        print(f"{device.name}: peak rates of its data sheet ({device.source})")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m octconv_cuda.cost", description=__doc__)
    names = [name for name in models.__all__ if name.startswith("oct_")]
    add = parser.add_argument
    add("network", help=", ".join(name.removeprefix("oct_") for name in names))
    add("--alphas", nargs="+", type=float, metavar="A", default=[0, 0.125, 0.25, 0.5, 0.75])
    add("--variant", choices=("v1", "v2"), help="of a ResNet; default v2")
    add("--size", type=int, default=224, help="pixels of each side")
    add("--batch", type=int, default=1)
    add("--device", choices=tuple(DEVICES), help="whose roofline to show")
    add("--dtype", choices=tuple(ITEM_SIZES), default="bfloat16")
    args = parser.parse_args(argv)
    args.network = f"oct_{args.network.removeprefix('oct_')}"
    if args.network not in names:
        parser.error(f"network must be one of {', '.join(names)}, got {args.network}")
    if args.variant and "mobilenet" in args.network:
        parser.error("--variant is for ResNets")
    args.variant = {"variant": args.variant} if args.variant else {}
    if not all(0 <= alpha <= 1 for alpha in args.alphas):
        parser.error(f"--alphas must be between 0 and 1, got {args.alphas}")
    if args.size < 1 or args.batch < 1:
        parser.error("--size and --batch must be positive")
    return args


if __name__ == "__main__":
    sys.exit(main())
