"""Trains a small octave network and its vanilla twin on scikit-learn's digits, with equal budgets.

``python -m examples.digits`` reports both accuracies over several seeds, with a picture;
``torchrun --nproc-per-node 2 -m examples.digits`` does the same in two processes, each of which
takes its half of every batch.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
import torch.distributed as dist
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from octconv_cuda import OctConv2d, PerPart, cost, split_channels

ALPHAS = (0.0, 0.5)
BATCH = 64
TRAINING_IMAGES = 1280


class Data(NamedTuple):
    """Images (N, 1, 8, 8) in [0, 1] and their classes."""

    images: Tensor
    classes: Tensor


def digits() -> tuple[Data, Data]:
    """The first 1280 images to train on, the 517 others, of other writers, to test with."""
    loaded = load_digits()
    images = torch.tensor(loaded.images, dtype=torch.float32)[:, None] / 16
    classes = torch.tensor(loaded.target)
    first, rest = slice(TRAINING_IMAGES), slice(TRAINING_IMAGES, None)
    return Data(images[first], classes[first]), Data(images[rest], classes[rest])


def network(alpha: float) -> nn.Module:
    """Three convolutions; at alpha 0 they are vanilla ones.

    Norms by groups, and not by batches, so that it makes no difference how many processes share a
    batch.
    """
    middle = {"alpha_in": alpha, "alpha_out": alpha}
    return nn.Sequential(
        OctConv2d(1, 32, 3, alpha_in=0, alpha_out=alpha, bias=False),
        *_norm_relu(32, alpha),
        OctConv2d(32, 64, 3, bias=False, **middle),
        *_norm_relu(64, alpha),
        OctConv2d(64, 64, 3, alpha_in=alpha, alpha_out=0, bias=False),
        *_norm_relu(64, 0),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def _norm_relu(channels: int, alpha: float) -> tuple[nn.Module, nn.Module]:
    high, low = (
        nn.GroupNorm(4, c) if c else nn.Identity() for c in split_channels(channels, alpha)
    )
    return PerPart(high, low), PerPart(nn.ReLU())


def train(alpha: float, seed: int, epochs: int, data: Data) -> nn.Module:
    """The network after training; the seed sets its start and the order of the images."""
    torch.manual_seed(seed)
    net = network(alpha)
    run: nn.Module = DistributedDataParallel(net) if dist.is_initialized() else net
    rank, processes = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    steps = epochs * (len(data.images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(data.images)).split(BATCH):
            own = batch[rank::processes]
            loss = F.cross_entropy(run(data.images[own]), data.classes[own], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.no_grad()
def accuracy(net: nn.Module, data: Data) -> float:
    """Share of the images that the network classifies rightly."""
    return float((net(data.images).argmax(1) == data.classes).float().mean())


def draw(accuracies: dict[float, list[float]], path: Path) -> None:
    """A dot for each seed, a line for the mean of each network."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for i, values in enumerate(accuracies.values()):
        axes.plot([i] * len(values), [100 * v for v in values], "o", alpha=0.5)
        mean = 100 * sum(values) / len(values)
        axes.hlines(mean, i - 0.2, i + 0.2, color="black")
        axes.annotate(f"{mean:.2f} %", (i + 0.22, mean), va="center")
    axes.set_xticks(range(len(accuracies)), [described(alpha) for alpha in accuracies])
    axes.set_xlim(-0.5, len(accuracies) - 0.3)
    axes.set_ylabel("accuracy on other writers' digits, %")
    axes.set_title("One dot a seed; equal epochs, order and start", fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def described(alpha: float) -> str:
    """The network's kind and what an image costs it."""
    macs = cost.network_cost(network(alpha), (1, 1, 8, 8)).macs
    kind = f"octave, alpha {alpha:g}" if alpha else "vanilla"
    return f"{kind}\n{macs / 1e6:.2f} M multiply-adds"


def main(argv: Sequence[str] | None = None) -> dict[float, list[float]]:
    """Trains, reports and draws; returns the accuracies by alpha."""
    parser = argparse.ArgumentParser(prog="python -m examples.digits", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "pictures/digits.png")
    args = parser.parse_args(argv)
    if args.seeds < 1 or args.epochs < 1:
        parser.error(f"--seeds and --epochs must be positive, got {args.seeds} and {args.epochs}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if "RANK" in os.environ and not dist.is_initialized():
        dist.init_process_group("gloo")
    training, test = digits()
    accuracies: dict[float, list[float]] = {alpha: [] for alpha in ALPHAS}
    for seed in range(args.seeds):
        for alpha in ALPHAS:
            net = train(alpha, seed, args.epochs, training)
            accuracies[alpha].append(accuracy(net, test))
    if not dist.is_initialized() or dist.get_rank() == 0:
        for alpha, values in accuracies.items():
            mean, spread = torch.tensor(values).mean(), torch.tensor(values).std(correction=0)
            print(f"{described(alpha).replace(chr(10), ', ')}: {mean:.2%} +- {spread:.2%}")
        draw(accuracies, args.out)
        print(f"Wrote {args.out}")
    if dist.is_initialized():
        dist.destroy_process_group()
    return accuracies


if __name__ == "__main__":
    main()
