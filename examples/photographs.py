"""The two photographs that scikit-learn carries, and what the examples cut out of them."""

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

__all__ = ["patches", "photographs"]


def photographs() -> Tensor:
    """(2, 3, 427, 640): a temple and a flower, each channel with mean 0 and variance 1."""
    images = [torch.tensor(image) for image in load_sample_images().images]
    stacked = torch.stack(images).permute(0, 3, 1, 2).float()
    mean, std = stacked.mean((0, 2, 3), True), stacked.std((0, 2, 3), keepdim=True)
    return (stacked - mean) / std


def patches(image: Tensor, count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, 3, size, size): squares at random places of an image (3, H, W)."""
    _, height, width = image.shape
    y = torch.randint(height - size + 1, (count,), generator=generator).tolist()
    x = torch.randint(width - size + 1, (count,), generator=generator).tolist()
    return torch.stack([image[:, i : i + size, j : j + size] for i, j in zip(y, x, strict=True)])
