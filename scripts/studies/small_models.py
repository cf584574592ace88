"""Models and data that are small enough for a study on a CPU: a GPT on bytes, a convolutional net on images.

The text is Python's own library, which is on every machine, in the version that is there; images are made.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Size:
    """How large it all is. rates: learning rates to choose from; looks: at the momentum, equally far
    apart."""

    layers: int
    width: int
    context: int
    batch: int
    steps: int
    channels: int
    images: int
    rates: tuple[float, ...]
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    held_out: int = 32
    looks: int = 3


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        q, k, v = (
            f(y).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value)
        )
        x = x + self.out(
            functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        )
        return x + self.down(functional.gelu(self.up(self.between(x))))


class Gpt(nn.Module):
    """On bytes, with learned places."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.bytes, self.places = nn.Embedding(256, size.width), nn.Embedding(size.context, size.width)
        self.blocks = nn.Sequential(
            *(Block(size.width, max(1, size.width // 32)) for _ in range(size.layers))
        )
        self.last, self.head = nn.LayerNorm(size.width), nn.Linear(size.width, 256, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device)
        return self.head(self.last(self.blocks(self.bytes(x) + self.places(places))))

    def matrices(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, p) for name, p in self.blocks.named_parameters() if p.ndim == 2]


class Net(nn.Module):
    """Three convolutions."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        sides = (1, size.channels, 2 * size.channels, 2 * size.channels)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sides))
        self.norms = nn.ModuleList(nn.GroupNorm(4, b) for b in sides[1:])
        self.head = nn.Linear(sides[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = functional.max_pool2d(functional.gelu(norm(layer(x))), 2)
        return self.head(x.mean(dim=(-2, -1)))

    def matrices(self) -> list[tuple[str, nn.Parameter]]:
        return [(f"layers.{k}.weight", layer.weight) for k, layer in enumerate(self.layers)]  # pyright: ignore


class Text:
    """Windows of the sources of Python's library; every tenth file is held out."""

    def __init__(self, size: Size) -> None:
        files = sorted(Path(os.__file__).parent.glob("*.py"))
        contents = [path.read_bytes() for path in files]
        self.digest = hashlib.sha256(b"".join(contents)).hexdigest()
        self.about = f"{len(files)} files of Python's library, {sum(map(len, contents)):,} bytes"
        held = [
            b"".join(contents[k] for k in range(len(files)) if (k % 10 == 9) == out) for out in (False, True)
        ]
        self.training, self.held_out = (
            torch.frombuffer(bytearray(one), dtype=torch.uint8).long() for one in held
        )
        self.size = size

    def model(self) -> Gpt:
        return Gpt(self.size)

    def drawn(self, generator: torch.Generator, *, held_out: bool = False) -> tuple[Tensor, Tensor]:
        of, length = self.held_out if held_out else self.training, self.size.context
        starts = torch.randint(len(of) - length - 1, (self.size.batch,), generator=generator)
        windows = torch.stack([of[start : start + length + 1] for start in starts.tolist()])
        return windows[:, :-1], windows[:, 1:]

    @staticmethod
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x).flatten(0, 1), y.flatten())


class Images:
    """Ten smooth patterns of 16 x 16, moved about, mixed with another one and with noise."""

    SIDE = 16

    def __init__(self, size: Size) -> None:
        generator = torch.Generator().manual_seed(10)
        coarse = torch.randn((10, 1, 5, 5), generator=generator)
        self.patterns = functional.interpolate(coarse, size=(self.SIDE, self.SIDE), mode="bicubic")[:, 0]
        self.digest = hashlib.sha256(coarse.numpy().tobytes()).hexdigest()
        self.about, self.size = "images of ten random patterns", size

    def model(self) -> Net:
        return Net(self.size)

    def drawn(self, generator: torch.Generator, *, held_out: bool = False) -> tuple[Tensor, Tensor]:
        count = self.size.images
        labels = torch.randint(10, (count,), generator=generator)
        other = (labels + torch.randint(1, 10, (count,), generator=generator)) % 10
        moves = torch.randint(self.SIDE, (count, 2), generator=generator).tolist()
        mixed = self.patterns[labels] + 0.7 * self.patterns[other]
        x = torch.stack([one.roll(move, dims=(0, 1)) for one, move in zip(mixed, moves, strict=True)])
        return (x + 1.2 * torch.randn(x.shape, generator=generator))[:, None], labels

    @staticmethod
    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return functional.cross_entropy(model(x), y)


def wider(size: Size) -> Text:
    """The text, for a model of twice the width that trains twice as long."""
    return Text(replace(size, width=2 * size.width, steps=2 * size.steps))


TASKS: dict[str, Callable[[Size], Any]] = {"text": Text, "images": Images, "wider text": wider}
