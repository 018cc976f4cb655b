"""Draws what an octave ResNet's stem and first stage make of a photograph.

``python -m examples.feature_maps``. The weights are random, as before training: what shows are the
two resolutions and what passes at each, not learned features.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from octconv_cuda import OctaveMaps, models

from .photographs import photographs

SHOWN = 4


@torch.no_grad()
def feature_maps(image: Tensor, alpha: float = 0.5) -> dict[str, Tensor | OctaveMaps]:
    """The maps behind the stem and behind each block of the first stage of an octave ResNet-50."""
    torch.manual_seed(0)
    network = models.oct_resnet50(alpha, variant="v1").eval()
    maps: dict[str, Tensor | OctaveMaps] = {}
    x = network.maxpool(network.relu(network.bn1(network.conv1(image))))
    maps["stem"] = x
    for i, block in enumerate(network.layer1):
        x = maps[f"block {i + 1}"] = block(x)
    return maps


def draw(image: Tensor, maps: dict[str, Tensor | OctaveMaps], path: Path) -> None:
    """A row for each map: its most lively channels, high on the left and low on the right."""
    figure, grid = plt.subplots(
        len(maps) + 1, 2 * SHOWN, figsize=(10, 5), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.set_axis_off()
    shown = image[0].permute(1, 2, 0).numpy()
    grid[0][0].imshow((shown - shown.min()) / (shown.max() - shown.min()))
    grid[0][0].set_title(f"photograph, {image.shape[2]} x {image.shape[3]}", fontsize=8, loc="left")
    for row, (name, value) in zip(grid[1:], maps.items(), strict=True):
        parts = (value, None) if isinstance(value, Tensor) else value
        for first, label, part in ((0, "high", parts[0]), (SHOWN, "low", parts[1])):
            if part is None:
                continue
            for axes, channel in zip(row[first:], part[0].std((1, 2)).topk(SHOWN)[1], strict=False):
                axes.imshow(part[0, channel].numpy(), cmap="magma")
            title = f"{name}, {label}: {part.shape[1]} channels, {part.shape[2]} x {part.shape[3]}"
            row[first].set_title(title, fontsize=8, loc="left")
    figure.suptitle("Octave ResNet-50 at alpha 0.5 before training: stem and first stage")
    figure.savefig(path, dpi=65)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> dict[str, Tensor | OctaveMaps]:
    """Runs and draws; returns the maps."""
    parser = argparse.ArgumentParser(prog="python -m examples.feature_maps", description=__doc__)
    default = Path(__file__).parent / "pictures/feature_maps.png"
    parser.add_argument("--out", type=Path, default=default)
    args = parser.parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    image = photographs()[:1]
    maps = feature_maps(image)
    draw(image, maps, args.out)
    print(f"Wrote {args.out}")
    return maps


if __name__ == "__main__":
    main()
