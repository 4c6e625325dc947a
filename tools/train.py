"""Train the built-in model on Fashion-MNIST: ``python tools/train.py --data DIR``.

DIR holds the four idx files of Fashion-MNIST (Debian package ``dataset-fashion-mnist`` puts them
into ``/usr/share/datasets/fashion-mnist``). Hidden matrices are trained with Muon, everything else
with AdamW, both on one cosine cycle. The last 2,000 training images are held out to watch the
training; the test images are looked at once, after the last epoch.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from hwnorm.builtin import model as builtin
from hwnorm.data.idx import read_fashion_mnist
from hwnorm.timm_compat import import_timm

HELD_OUT = 2_000
MAX_SHIFT = 2
ERASE_PROBABILITY = 0.25
LABEL_SMOOTHING = 0.1


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """uint8 images (N, 28, 28) -> normalized float32 (N, 1, 28, 28)."""
    scaled = torch.from_numpy(np.ascontiguousarray(images)).float().div_(255.0)
    return ((scaled - builtin.PIXEL_MEAN) / builtin.PIXEL_STD).unsqueeze(1)


def augment(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip, shift by up to two pixels and erase a rectangle in a quarter of the images, in uint8."""
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT)))
    rows = rng.integers(0, 2 * MAX_SHIFT + 1, (n, 1)) + np.arange(height)
    columns = rng.integers(0, 2 * MAX_SHIFT + 1, (n, 1)) + np.arange(width)
    flipped = rng.random(n) < 0.5
    columns[flipped] = columns[flipped, ::-1]
    out = padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    for i in np.flatnonzero(rng.random(n) < ERASE_PROBABILITY):
        h, w = rng.integers(4, 15, 2)
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        out[i, top : top + h, left : left + w] = rng.integers(0, 256)
    return np.asarray(out)


def make_optimizers(net: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings, biases, norms and the head."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        (matrices if name.startswith("blocks.") and parameter.ndim == 2 else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=3e-3, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=2e-3, weight_decay=0.02, betas=(0.9, 0.99)),
    ]


@torch.no_grad()
def accuracy(net: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 in per cent, in float32."""
    net.eval()
    correct = 0
    for start in range(0, len(labels), 1000):
        logits = net(to_tensor(images[start : start + 1000]))
        correct += int((logits.argmax(1).numpy() == labels[start : start + 1000]).sum())
    return 100.0 * correct / len(labels)


def train(data: Path, epochs: int, batch: int, seed: int, log_every: int = 2) -> nn.Module:
    """Train from scratch and return the network, in evaluation mode."""
    import_timm()
    from timm.layers import set_fused_attn

    (images, labels), _ = read_fashion_mnist(data)
    held_images, held_labels = images[-HELD_OUT:], labels[-HELD_OUT:]
    images, labels = images[:-HELD_OUT], labels[:-HELD_OUT]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    # The backward pass of the fused attention is several times slower in bfloat16 on a CPU.
    set_fused_attn(False)
    net = builtin.build()
    optimizers = make_optimizers(net)
    base = [group["lr"] for o in optimizers for group in o.param_groups]
    per_epoch = len(labels) // batch
    total, warmup = epochs * per_epoch, 2 * per_epoch
    step = 0
    for epoch in range(epochs):
        net.train()
        started, losses = time.time(), 0.0
        order = rng.permutation(len(labels))
        for i in range(per_epoch):
            scale = min(1.0, (step + 1) / warmup) * 0.5 * (1 + math.cos(math.pi * step / total))
            groups = [group for o in optimizers for group in o.param_groups]
            for group, lr in zip(groups, base, strict=True):
                group["lr"] = lr * scale
            picked = order[i * batch : (i + 1) * batch]
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = net(to_tensor(augment(images[picked], rng)))
            loss = F.cross_entropy(
                logits.float(), torch.from_numpy(labels[picked]), label_smoothing=LABEL_SMOOTHING
            )
            net.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            losses += float(loss.detach())
            step += 1
        line = f"epoch {epoch + 1}/{epochs} loss {losses / per_epoch:.4f} {time.time() - started:.0f} s"
        if (epoch + 1) % log_every == 0 or epoch + 1 == epochs:
            line += f" held-out top-1 {accuracy(net, held_images, held_labels):.2f} %"
        print(line, flush=True)
    return net.eval()


def main() -> None:
    """Train, store the weights in half precision, and tell what the stored ones reach."""
    parser = argparse.ArgumentParser(description="Train the built-in model on Fashion-MNIST.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four idx files")
    parser.add_argument("--out", type=Path, default=builtin.WEIGHTS, help="safetensors file to write")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    net = train(args.data, args.epochs, args.batch, args.seed)
    half = {name: value.half().contiguous() for name, value in net.state_dict().items()}
    save_file(half, args.out)
    net.load_state_dict({name: value.float() for name, value in half.items()})
    _, (images, labels) = read_fashion_mnist(args.data)
    print(f"wrote {args.out}; test top-1 of the stored weights {accuracy(net, images, labels):.2f} %")


if __name__ == "__main__":
    main()
