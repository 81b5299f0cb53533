"""Trains the demonstration detector from zero on scenes the project draws itself, and exports it.

It never runs on a device: torch and onnx are needed here and nowhere else.

    python -m venv torchenv && torchenv/bin/pip install torch onnx numpy opencv-python msgspec
    torchenv/bin/python packaging/tools/train_demo_detector.py --minutes 45 --out devices/models

The network is a small depthwise feature pyramid with one output level at stride 8: a heat-map per
class whose peaks are object centres, and the distances from there to the four sides of the box.
Both the scaling of pixels and the suppression of what is not a peak are part of the exported
graph, so that a driver feeds camera bytes and reads off the top of the map.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from devices.scenes import LABELS, still

STRIDE = 8
NOTICE = (
    "Detects the objects of this project's own simulator. "
    "Not a surveillance model; it does not transfer to real footage."
)
# Seeds below this are for tests and evaluation and are never trained on.
FIRST_TRAINING_SEED = 1_000_000
VALIDATION_SEEDS = range(900_000, 900_096)


# -- the network ------------------------------------------------------------------------------


def _convolution(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Separable(nn.Module):  # type: ignore[misc]  # torch is absent here
    """A depthwise and a pointwise convolution, with a shortcut where the shapes allow one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> None:
        """Build the pair."""
        super().__init__()
        self.depthwise = _convolution(inputs, inputs, kernel, stride, inputs)
        self.pointwise = _convolution(inputs, outputs)
        self.shortcut = inputs == outputs and stride == 1

    def forward(self, features: Tensor) -> Tensor:
        """Apply the pair."""
        out: Tensor = self.pointwise(self.depthwise(features))
        return out + features if self.shortcut else out


class Network(nn.Module):  # type: ignore[misc]  # torch is absent here
    """Pixels 0..1 in; class logits and box distances in pixels out, at stride 8."""

    def __init__(self, classes: int, width: int = 64) -> None:
        """Build the pyramid and both heads."""
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 16, 3, 2), Separable(16, 32, 2))
        self.eighth = nn.Sequential(Separable(32, 64, 2), Separable(64, 64))
        self.sixteenth = nn.Sequential(
            Separable(64, 96, 2, 5), Separable(96, 96), Separable(96, 96)
        )
        self.thirtysecond = nn.Sequential(
            Separable(96, 128, 2, 5), Separable(128, 128, 1, 5), Separable(128, 128, 1, 5)
        )
        self.laterals = nn.ModuleList(_convolution(size, width) for size in (64, 96, 128))
        self.smooth = nn.ModuleList(Separable(width, width) for _ in range(2))
        self.towers = nn.ModuleList(
            nn.Sequential(Separable(width, width), Separable(width, width)) for _ in range(2)
        )
        self.heat = nn.Conv2d(width, classes, 1)
        self.sides = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.heat.bias, -4.0)  # most cells are empty, and start so
        nn.init.constant_(self.sides.bias, 1.0)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Run the network.

        Args:
            pixels: batch x 3 x H x W, 0..1, RGB; H and W multiples of 32.

        Returns:
            Logits, batch x classes x H/8 x W/8, and the distances left, top, right, bottom in
            pixels, batch x 4 x H/8 x W/8.
        """
        near = self.eighth(self.stem(pixels))
        middle = self.sixteenth(near)
        far = self.thirtysecond(middle)
        merged = self.laterals[1](middle) + _double(self.laterals[2](far))
        merged = self.laterals[0](near) + _double(self.smooth[0](merged))
        merged = self.smooth[1](merged)
        sides = torch.exp(self.sides(self.towers[1](merged)).clamp(-3.0, 4.0)) * STRIDE
        return self.heat(self.towers[0](merged)), sides


def _double(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


class Exported(nn.Module):  # type: ignore[misc]  # torch is absent here
    """The network as it ships: camera bytes in, peaks out."""

    def __init__(self, network: Network) -> None:
        """Wrap the trained network."""
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Take 1 x H x W x 3 uint8 BGR; give 1 x C x h x w scores and 1 x 4 x h x w sides."""
        pixels = image.permute(0, 3, 1, 2).float().flip(1) / 255.0
        logits, sides = self.network(pixels)
        heat = torch.sigmoid(logits)
        peaks = functional.max_pool2d(heat, 3, 1, 1)
        return heat * (heat >= peaks).float(), sides


# -- targets and losses -------------------------------------------------------------------------


class Targets:
    """What the network should say for a batch, as tensors at stride 8."""

    def __init__(self, batch: int, size: int) -> None:
        """Start with an empty map."""
        cells = size // STRIDE
        self.heat = np.zeros((batch, len(LABELS), cells, cells), np.float32)
        self.sides = np.zeros((batch, 4, cells, cells), np.float32)
        self.weight = np.zeros((batch, cells, cells), np.float32)

    def add(self, index: int, box: NDArray[np.float32], label: str) -> None:
        """Mark one object: a bump on its class's map, the four distances near its centre."""
        x, y, w, h = (float(value) for value in box)
        cells = self.heat.shape[-1]
        centre_x, centre_y = (x + w / 2) / STRIDE, (y + h / 2) / STRIDE
        column, row = min(int(centre_x), cells - 1), min(int(centre_y), cells - 1)
        spread_x, spread_y = max(w / STRIDE * 0.12, 0.45), max(h / STRIDE * 0.12, 0.45)
        rows, columns = np.ogrid[:cells, :cells]
        bump = np.exp(
            -((columns - column) ** 2) / (2 * spread_x**2) - ((rows - row) ** 2) / (2 * spread_y**2)
        ).astype(np.float32)
        plane = self.heat[index, LABELS.index(label)]
        np.maximum(plane, bump, out=plane)
        plane[row, column] = 1.0
        for r in range(max(row - 1, 0), min(row + 2, cells)):
            for c in range(max(column - 1, 0), min(column + 2, cells)):
                at_x, at_y = (c + 0.5) * STRIDE, (r + 0.5) * STRIDE
                sides = (at_x - x, at_y - y, x + w - at_x, y + h - at_y)
                weight = 1.0 if (r, c) == (row, column) else 0.3
                if min(sides) > 0 and weight > self.weight[index, r, c]:
                    self.sides[index, :, r, c] = sides
                    self.weight[index, r, c] = weight


def focal_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """Give the penalty-reduced focal loss of heat-map detectors, per object."""
    score = torch.sigmoid(logits).clamp(1e-5, 1 - 1e-5)
    centre = heat.eq(1.0).float()
    missed = -torch.log(score) * (1 - score) ** 2 * centre
    invented = -torch.log(1 - score) * score**2 * (1 - heat) ** 4 * (1 - centre)
    return (missed + invented).sum() / centre.sum().clamp(min=1.0)


def giou_loss(sides: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Give one minus the generalised overlap, over the cells that have a weight."""
    at = weight > 0
    if not bool(at.any()):
        return sides.sum() * 0.0
    ours, truth = sides.permute(0, 2, 3, 1)[at], wanted.permute(0, 2, 3, 1)[at]
    low, high = torch.minimum(ours, truth), torch.maximum(ours, truth)
    shared = (low[:, 0] + low[:, 2]) * (low[:, 1] + low[:, 3])
    hull = (high[:, 0] + high[:, 2]) * (high[:, 1] + high[:, 3])
    area = sum((b[:, 0] + b[:, 2]) * (b[:, 1] + b[:, 3]) for b in (ours, truth))
    union = area - shared
    giou = shared / union - (hull - union) / hull
    return ((1 - giou) * weight[at]).sum() / weight[at].sum()


# -- data -----------------------------------------------------------------------------------------


def batches(size: int, batch: int, first_seed: int) -> Iterator[tuple[Tensor, Targets]]:
    """Draw endless batches of stills; each seed is used once."""
    seed = first_seed
    while True:
        images = np.empty((batch, size, size, 3), np.uint8)
        targets = Targets(batch, size)
        for index in range(batch):
            image, boxes, labels = still(seed, (size, size))
            rng = np.random.default_rng((seed, 3))
            if rng.random() < 0.15:
                _border(rng, image)
            images[index] = image
            for box, label in zip(boxes, labels, strict=True):
                targets.add(index, box, label)
            seed += 1
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().flip(1) / 255.0
        yield pixels, targets


def _border(rng: np.random.Generator, image: NDArray[np.uint8]) -> None:
    """Grey a strip at the top or bottom, as a letterbox does."""
    depth = int(rng.integers(4, 14))
    if rng.random() < 0.5:
        image[:depth] = 114
    else:
        image[-depth:] = 114


def validation_loss(network: Network, size: int) -> float:
    """Give the training loss on seeds that are never trained on."""
    total, count = 0.0, 0
    stream = batches(size, 16, VALIDATION_SEEDS.start)
    network.eval()
    with torch.no_grad():
        for _ in range(len(VALIDATION_SEEDS) // 16):
            pixels, targets = next(stream)
            total += float(_loss(network, pixels, targets))
            count += 1
    network.train()
    return total / count


def _loss(network: Network, pixels: Tensor, targets: Targets) -> Tensor:
    logits, sides = network(pixels)
    weight = torch.from_numpy(targets.weight)
    regression = giou_loss(sides, torch.from_numpy(targets.sides), weight)
    return focal_loss(logits, torch.from_numpy(targets.heat)) + 2.0 * regression


# -- training -------------------------------------------------------------------------------------


def rate_at(progress: float, peak: float) -> float:
    """Give the learning rate of one cycle: up over the first tenth, then down along a cosine."""
    if progress < 0.1:
        return peak * (0.05 + 0.95 * progress / 0.1)
    return peak * (0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * min((progress - 0.1) / 0.9, 1))))


def train(options: argparse.Namespace) -> tuple[Network, dict[str, Any]]:
    """Train until the steps or the minutes run out; give the averaged network and the facts."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    network = Network(len(LABELS)).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=options.rate, weight_decay=1e-4)
    stream = batches(options.size, options.batch, FIRST_TRAINING_SEED + options.seed * 10_000_000)
    started, cpu_started = time.monotonic(), time.process_time()
    progress, step = 0.0, 0
    while progress < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = rate_at(progress, options.rate)
        pixels, targets = next(stream)
        loss = _loss(network, pixels.contiguous(memory_format=torch.channels_last), targets)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        step += 1
        _average(averaged, network, min(0.998, step / (step + 20)))
        minutes = (time.monotonic() - started) / 60
        progress = max(step / options.steps, minutes / options.minutes)
        if step % 100 == 0:
            held_out = validation_loss(averaged, options.size)
            print(
                f"{minutes:5.1f} min  step {step}  loss {float(loss):.3f}  held out {held_out:.3f}",
                flush=True,
            )
            torch.save(averaged.state_dict(), options.checkpoint)
    torch.save(averaged.state_dict(), options.checkpoint)
    first = FIRST_TRAINING_SEED + options.seed * 10_000_000
    facts = {
        "steps": step,
        "cpu_minutes": round((time.process_time() - cpu_started) / 60, 1),
        "training_seeds": f"{first}-{first + step * options.batch - 1}",
        "training_size": options.size,
    }
    return averaged, facts


def _average(averaged: Network, network: Network, decay: float) -> None:
    """Move the averaged weights towards the current ones; counters are copied."""
    current = network.state_dict()
    for name, value in averaged.state_dict().items():
        if value.dtype.is_floating_point:
            value.mul_(decay).add_(current[name], alpha=1 - decay)
        else:
            value.copy_(current[name])


# -- export ---------------------------------------------------------------------------------------


def export(network: Network, facts: dict[str, Any], out: Path, shape: tuple[int, int]) -> Path:
    """Write the ONNX file and its metadata as JSON; give the path of the model."""
    width, height = shape
    out.mkdir(parents=True, exist_ok=True)
    path = out / "demo-detector.onnx"
    network = network.to(memory_format=torch.contiguous_format).eval()
    torch.onnx.export(
        Exported(network),
        (torch.zeros(1, height, width, 3, dtype=torch.uint8),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=["heat", "ltrb"],
    )
    model = onnx.load(str(path))
    metadata = {
        "names": json.dumps(dict(enumerate(LABELS))),
        "stride": str(STRIDE),
        "head": "center-ltrb",
        "license": "Apache-2.0",
        "description": NOTICE,
        **{key: str(value) for key, value in facts.items()},
    }
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    content = path.read_bytes()
    card = {
        **facts,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "input": {
            "name": "image",
            "dtype": "uint8",
            "layout": "NHWC",
            "colour": "BGR",
            "shape": [1, height, width, 3],
        },
        "head": "center-ltrb",
        "stride": STRIDE,
        "labels": list(LABELS),
        "license": "Apache-2.0",
        "notice": NOTICE,
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    return path


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=45.0, help="hard limit of wall time")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=256, help="side of the training pictures")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input", default="640x384", help="width x height of the exported model")
    parser.add_argument("--out", type=Path, default=Path("devices/models"))
    parser.add_argument("--checkpoint", type=Path, default=Path("demo-detector.pt"))
    options = parser.parse_args()
    network, facts = train(options)
    width, height = (int(part) for part in options.input.split("x"))
    print(export(network, facts, options.out, (width, height)))


if __name__ == "__main__":
    main()
