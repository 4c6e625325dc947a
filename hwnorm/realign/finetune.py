"""The optional gradient stage: a student with replaced norms, trained towards its teacher."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.files import digest, write_whole
from hwnorm.network.cuts import find_cuts
from hwnorm.network.fold import fold_affine
from hwnorm.network.norms import NormSite, device_of, first_tensor, tapped
from hwnorm.network.replacement import ChannelAffine
from hwnorm.progress import err
from hwnorm.realign.distributed import average_gradients, is_first, own_share, share_weights

#: What is trained, and towards what: ``A`` weight and bias at each norm alone, ``F`` all weights (both by
#: cross entropy), ``D`` all weights with the teacher's logits too (methods of arXiv 2605.14047), ``features``
#: all weights towards what each block of the teacher puts out, without labels.
Method = Literal["A", "F", "D", "features"]

TEMPERATURE = 4.0
#: Of the training images one in ten is held out, at most so many, to choose the best epoch by.
MOST_HELD = 2_000
WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: AdamW on one cosine cycle after a linear warm-up.

    ``amp`` computes in bfloat16 where autocast allows it and the device has such products. ``patience`` is
    how many epochs without a better one on the held-out images end the training.
    """

    method: Method
    epochs: int = 3
    batch: int = 128
    learning_rate: float = 2e-4
    weight_decay: float = 0.02
    seed: int = 0
    amp: bool = True
    patience: int = 3


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to on the held-out images; ``top1`` is in per cent, None without labels."""

    loss: float
    top1: float | None


def split(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    """Training images proper, and those that are held out to choose the best epoch by: disjoint."""
    order = np.random.default_rng(seed).permutation(len(images))
    held = min(MOST_HELD, len(images) // 10)
    if held < 1:
        raise InputError(f"{len(images)} training images; fine-tuning needs 10 or more")
    return images.subset(order[held:]), images.subset(order[:held])


def finetune(
    student: nn.Module,
    teacher: nn.Module,
    sites: Mapping[str, NormSite],
    images: ImageSet,
    recipe: Recipe,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Train ``student`` in place, and leave it as it was best on the held-out images, in evaluation mode.

    Runs on a GPU if there is one, and with ``torchrun`` on several; each process takes its share of each
    batch. The order of images and which are mirrored depend on the seed, epoch and step alone: training
    that goes on from a checkpoint ends as if it had not stopped.

    Args:
        student: from :func:`hwnorm.network.replacement.replace`, float or bit-true.
        sites: the replaced norms by their names.
        images: training images, or what else the networks take, (n, ...); a part is held out (:func:`split`).
        checkpoint: file that is written after each epoch, and gone on from if it is there and is of the same
            networks, images and recipe.

    Returns:
        The scores before training and after each epoch.

    Raises:
        InputError: too few images, a damaged checkpoint, or a loss that is not finite.
    """
    training, held = split(images, recipe.seed)
    device = device_of(student)
    share_weights(student)
    with _trainable(student, sites, recipe.method) as parameters:
        optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
        identity = digest(
            asdict(recipe), images.fingerprint, hashes(student.state_dict()), hashes(teacher.state_dict())
        )
        objective = _Objective(student, teacher, recipe, images.example())
        best, history = _state(student), [_measure(objective, held, recipe, device)]
        done = 0
        if checkpoint is not None and checkpoint.is_file():
            stored = read_training(checkpoint, device, _PARTS)
            if stored.get("identity") == identity:
                student.load_state_dict(stored["student"])
                optimizer.load_state_dict(stored["optimizer"])
                best, done = stored["best"], stored["done"]
                history = [Epoch(**epoch) for epoch in stored["history"]]
        for epoch in range(done, recipe.epochs):
            if _stale(history) >= recipe.patience:
                break
            _train_epoch(objective, optimizer, training, recipe, epoch, device)
            history.append(_measure(objective, held, recipe, device))
            # By loss: top-1 of a few thousand images differs by chance more than epochs do.
            if history[-1].loss < min(h.loss for h in history[:-1]):
                best = _state(student)
            if is_first():
                top1 = "" if history[-1].top1 is None else f", top-1 {history[-1].top1:.2f} %"
                err.print(
                    f"epoch {epoch + 1}/{recipe.epochs}: held-out loss {history[-1].loss:.4f}{top1}",
                    highlight=False,
                )
            if checkpoint is not None and is_first():
                state = {
                    "identity": identity,
                    "done": epoch + 1,
                    "student": _state(student),
                    "optimizer": optimizer.state_dict(),
                    "best": best,
                    "history": [asdict(h) for h in history],
                }
                write_whole(checkpoint, lambda beside, state=state: torch.save(state, beside))  # type: ignore[misc]
        student.load_state_dict(best)
    student.eval()
    return history


#: What a checkpoint holds.
_PARTS = frozenset(("identity", "done", "student", "optimizer", "best", "history"))


def read_training(checkpoint: Path, device: torch.device, parts: Set[str]) -> dict[str, Any]:
    """What a training wrote to go on from.

    Args:
        parts: what it must hold.

    Raises:
        InputError: it is damaged, or holds something else.
    """
    try:
        stored: dict[str, Any] = torch.load(checkpoint, map_location=device, weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{checkpoint}: cannot be read as a checkpoint ({reason}); remove it to start training anew"
        ) from None
    if not isinstance(stored, dict) or not stored.keys() >= parts:
        raise InputError(f"{checkpoint}: holds no state of this training; remove it to start training anew")
    return stored


def _stale(history: list[Epoch]) -> int:
    """How many epochs ago the best was."""
    losses = [epoch.loss for epoch in history]
    return len(losses) - 1 - losses.index(min(losses))


def _train_epoch(
    objective: _Objective,
    optimizer: torch.optim.Optimizer,
    images: ImageSet,
    recipe: Recipe,
    epoch: int,
    device: torch.device,
) -> None:
    objective.student.train()
    order = np.random.default_rng((recipe.seed, epoch)).permutation(len(images))
    steps = -(-len(images) // recipe.batch)
    batches = images.subset(order).batches(recipe.batch)
    for step, (pixels, labels) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate(epoch * steps + step, recipe.epochs * steps)
        pixels = mirror(pixels, np.random.default_rng((recipe.seed, epoch, step)))
        # With torchrun each process takes its part of the same batch.
        pixels, labels = own_share(pixels).to(device), own_share(labels).to(device)
        with _attention(device), mixed_precision(device, recipe.amp):
            loss, _ = objective(pixels, labels)
        if not bool(torch.isfinite(loss)):
            raise InputError(
                f"fine-tuning: the loss is {float(loss.detach())} at step {step + 1} of epoch {epoch + 1}; "
                "a smaller learning rate is needed"
            )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(objective.student)
        nn.utils.clip_grad_norm_(objective.student.parameters(), 1.0)
        optimizer.step()


def _attention(device: torch.device) -> AbstractContextManager[None]:
    # On a CPU the backward pass of fused attention in bfloat16 takes longer than all the rest.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def mixed_precision(device: torch.device, wanted: bool = True) -> torch.autocast:
    """Compute in bfloat16 where autocast allows it and the device has such products."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted and _has_bfloat16(device))


def _has_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are the device's own: a CPU without them takes over ten times as long."""
    if device.type != "cpu":
        return True
    own = torch.cpu.get_capabilities()
    return any(own.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def rate(step: int, total: int) -> float:
    """Share of the learning rate: linear warm-up, then half a cosine down to zero."""
    warm = max(1, round(WARM_UP * total))
    return (
        (step + 1) / warm
        if step < warm
        else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
    )


def mirror(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirror half of the images (n, C, H, W); what has another shape is no image, and stays as it is.

    No more than that: in the few epochs that there are, a student learns its teacher's answers best on images
    like those that it will see.
    """
    if pixels.ndim != 4:
        return pixels
    mirrored = torch.from_numpy(rng.random(len(pixels)) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mirrored, pixels.flip(-1), pixels)


@torch.no_grad()
def _measure(objective: _Objective, held: ImageSet, recipe: Recipe, device: torch.device) -> Epoch:
    objective.student.eval()
    total = correct = count = 0.0
    for pixels, labels in held.batches(recipe.batch):
        loss, right = objective(pixels.to(device), labels.to(device))
        total, correct, count = total + float(loss) * len(labels), correct + right, count + len(labels)
    return Epoch(total / count, None if recipe.method == "features" else 100.0 * correct / count)


class _Objective:
    """The loss of a batch, and how many of it the student gets right."""

    def __init__(self, student: nn.Module, teacher: nn.Module, recipe: Recipe, example: Tensor) -> None:
        self.student, self.teacher, self.recipe = student, teacher, recipe
        self._cuts: list[str] = []
        if recipe.method == "features":
            self._cuts = find_cuts(teacher, example_inputs=example)

    def __call__(self, pixels: Tensor, labels: Tensor) -> tuple[Tensor, int]:
        if self.recipe.method == "features":
            return self._features(pixels), 0
        logits = first_tensor(self.student(pixels)).float()
        loss = F.cross_entropy(logits, labels)
        if self.recipe.method == "D":
            with torch.no_grad():
                wanted = first_tensor(self.teacher(pixels)).float()
            loss = 0.5 * loss + 0.5 * soft_divergence(logits, wanted)
        return loss, int((logits.argmax(1) == labels).sum())

    def _features(self, pixels: Tensor) -> Tensor:
        """Mean over the cuts of the squared distance to the teacher's, relative to its variance."""
        with torch.no_grad(), tapped(self.teacher, self._cuts) as wanted:
            self.teacher(pixels)
        with tapped(self.student, self._cuts) as found:
            self.student(pixels)
        losses = []
        for name in self._cuts:
            # Before the first replaced norm both are the same.
            losses.append(relative_error(found[name], wanted[name]))
        return torch.stack(losses).mean()


def soft_divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """From the class probabilities that are wanted, all softened, times the square of the temperature."""
    soft = [F.log_softmax(z / TEMPERATURE, 1) for z in (logits, wanted)]
    return TEMPERATURE**2 * F.kl_div(soft[0], soft[1], log_target=True, reduction="batchmean")


def relative_error(found: Tensor, wanted: Tensor) -> Tensor:
    """The mean squared distance over the variance of what is wanted."""
    wanted = wanted.float()
    variance = (wanted - wanted.mean(0)).square().mean()
    return (found.float() - wanted).square().mean() / (variance + 1e-12)


@contextmanager
def _trainable(
    student: nn.Module, sites: Mapping[str, NormSite], method: Method
) -> Iterator[list[nn.Parameter]]:
    """What is trained. For ``A``, a weight and a bias at each norm; they fold into its readers after."""
    if method != "A":
        yield list(student.parameters())
        return
    added = []
    for name, site in sites.items():
        at = student.get_submodule(name)
        if not isinstance(at, ChannelAffine):
            affine = ChannelAffine(at, site.channels, None, None, site.axis)
            student.set_submodule(name, affine.to(device_of(student)))
            added.append(site)
    trained = [p for name in sites for p in student.get_submodule(name).parameters()]
    try:
        yield trained
    finally:
        for site in added:
            affine = student.get_submodule(site.name)  # type: ignore[assignment]
            readers = [student.get_submodule(name) for name in site.consumers]
            fold_affine(readers, affine.weight.detach(), affine.bias.detach())
            student.set_submodule(site.name, affine.function)


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def hashes(tensors: Mapping[str, Tensor]) -> list[str]:
    """A hash of each tensor and its name."""
    return [
        digest(name, value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        for name, value in tensors.items()
    ]
