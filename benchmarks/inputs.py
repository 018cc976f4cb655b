"""What the layers are fed: random normal noise, or feature maps of a photograph.

Values matter to a timing (zeros switch fewer transistors and a GPU clocks higher), and real
feature maps are smooth, correlated and, behind a ReLU, half zeros.
"""

import functools

import matplotlib.cbook
import matplotlib.image
import torch
import torch.nn.functional as F
from torch import Tensor

from octconv_cuda import reference
from octconv_cuda.problem import low_size

__all__ = ["INPUTS", "octave_maps", "photo_crops", "photo_features"]

INPUTS = ("noise", "photo")
_FILTER_SIZE = 7


def octave_maps(
    kind: str,
    batch: int,
    channels: tuple[int, int],
    size: tuple[int, int],
    seed: int,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, ...]:
    """float32 maps (N, C_high, H, W) and (N, C_low, ceil(H/2), ceil(W/2)).

    Of noise both parts are independent; of the photograph the low part is the 2x2 average of the
    last feature maps. Channels (C, 0) give one tensor, a vanilla input.
    """
    high, low = channels
    if kind == "photo":
        features = photo_features(batch, high + low, size, seed).to(device)
        return (features[:, :high], reference.pool(features[:, high:])) if low else (features,)
    generator = torch.Generator(device).manual_seed(seed)  # a CPU takes seconds for a large batch
    shapes = [(high, *size)] + [(low, *low_size(size))] * (low > 0)
    return tuple(torch.randn(batch, *shape, generator=generator, device=device) for shape in shapes)


def photo_features(batch: int, channels: int, size: tuple[int, int], seed: int) -> Tensor:
    """(N, C, H, W) float32: random crops of a photograph behind one random convolution layer.

    The layer is a 7x7 convolution, normalisation to zero mean and unit variance per channel, and
    ReLU: what the second layer of a freshly initialised network sees.
    """
    generator = torch.Generator().manual_seed(seed)
    margin = _FILTER_SIZE - 1
    crops = photo_crops(batch, (size[0] + margin, size[1] + margin), generator)
    filters = torch.randn(channels, 3, _FILTER_SIZE, _FILTER_SIZE, generator=generator)
    features = F.conv2d(crops, filters)
    return F.batch_norm(features, None, None, training=True).relu_()


def photo_crops(batch: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(N, 3, H, W): squares of 128 pixels to the photograph's width, resized with antialiasing."""
    photo = _photograph()
    height, width = photo.shape[1:]
    crops = []
    for _ in range(batch):
        side = int(torch.randint(128, min(height, width) + 1, (), generator=generator))
        top = int(torch.randint(0, height - side + 1, (), generator=generator))
        left = int(torch.randint(0, width - side + 1, (), generator=generator))
        crop = photo[None, :, top : top + side, left : left + side]
        crops.append(F.interpolate(crop, size, mode="bilinear", antialias=True))
    return torch.cat(crops)


@functools.cache
def _photograph() -> Tensor:
    """(3, 600, 512) float32 in [0, 1]: the photograph of Grace Hopper that matplotlib carries."""
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    pixels = matplotlib.image.imread(str(path))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
