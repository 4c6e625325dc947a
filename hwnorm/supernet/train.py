"""Training of a supernet: its subnets together, on the weights that they share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.files import digest, write_whole
from hwnorm.graph.graph import Graph
from hwnorm.graph.operations import Function, Linear, Operation
from hwnorm.integers import rows
from hwnorm.network.output_loss import Measured, OutputLoss
from hwnorm.realign.finetune import (
    hashes,
    mirror,
    mixed_precision,
    rate,
    read_training,
    relative_error,
    soft_divergence,
)
from hwnorm.supernet.slices import STREAM, block_of, view
from hwnorm.supernet.space import Space, Subnet
from hwnorm.supernet.supernet import Supernet, scale_name

#: What the error of a block's stream weighs beside the error of the output.
STREAMS = 0.5
#: Ends of a row's codes that are tried at each step, as shares of its largest weight.
CLIPS = tuple(float(clip) for clip in rows.CLIPS[::3])
#: Steps from one checkpoint to the next.
CHECKPOINT_STEPS = 200
#: What of an operation is trained.
_TRAINED = ("weight", "bias", "table")


@dataclass(frozen=True)
class Recipe:
    """How to train: AdamW, matrices of blocks by Muon, on one cosine cycle after a linear warm-up.

    Attributes:
        random: subnets drawn for each batch, beside the largest and the smallest (the sandwich rule,
            J. Yu and T. Huang, arXiv 1903.05134).
        distillation: towards the original's logits and its stream behind each block, beside the labels.
        layer_scaling: each projection into the stream has a scale a channel for each number of channels that
            it may read (Quasar-ViT, arXiv 2407.18175); those of the subnet at hand alone are trained.
    """

    epochs: int = 6
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    random: int = 2
    distillation: bool = True
    layer_scaling: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """What the largest and the smallest subnet lose on held-out images, rows rounded."""

    largest: Measured
    smallest: Measured


def train(
    supernet: Supernet,
    space: Space,
    images: ImageSet,
    held: Tensor,
    loss: OutputLoss,
    recipe: Recipe,
    checkpoint: Path,
    device: torch.device,
    step: Callable[[int, int], None] = lambda done, total: None,
    report: Callable[[int, Epoch], None] = lambda number, epoch: None,
) -> tuple[Supernet, list[Epoch]]:
    """Train the subnets of a space together.

    Rows are rounded at each step to as many bits as the subnet has for them; gradients pass straight through
    (Y. Bengio et al., arXiv 1308.3432). Activations stay real numbers. Which images, which are mirrored and
    which subnets depends on the seed and the step alone: training that goes on ends as if it had not stopped.

    Args:
        images: to train on.
        held: others, (n, C, H, W), that each epoch is measured on.
        checkpoint: file that is written now and then, and gone on from where it is of the same training.
        step: is called with the steps that are done, and all.
        report: is called with an epoch's number, from 1, and what it came to.

    Raises:
        InputError: neither labels nor distillation, a damaged checkpoint, or a loss that is not finite.
    """
    if not recipe.distillation and not (images.labelled and loss.has_head):
        raise InputError("train.distillation: false; images without classes leave nothing to train towards")
    trainer = _Trainer(supernet, space, recipe, loss, images.labelled, device)
    identity = digest(asdict(recipe), asdict(space), images.fingerprint, _hashes(supernet))
    per_epoch = -(-len(images) // recipe.batch)
    total = per_epoch * recipe.epochs
    done, history = 0, list[Epoch]()
    if checkpoint.is_file():
        stored = read_training(checkpoint, device, {"identity", "done", "trainer", "history"})
        if stored["identity"] == identity:
            trainer.load(stored["trainer"])
            done = stored["done"]
            history = [Epoch(**{k: Measured(**m) for k, m in e.items()}) for e in stored["history"]]
    for number in range(done // per_epoch, recipe.epochs):
        for batch in _batches(images, recipe, number, skip=done - number * per_epoch):
            trainer.step(*batch, rate(done, total), done)
            done += 1
            if done % per_epoch == 0:
                history.append(Epoch(*(trainer.measure(s, held) for s in (space.largest, space.smallest))))
                report(number + 1, history[-1])
            if done % per_epoch == 0 or done % CHECKPOINT_STEPS == 0:
                state = {"identity": identity, "done": done, "trainer": trainer.state()}
                state |= {"history": [asdict(epoch) for epoch in history]}
                write_whole(checkpoint, lambda beside, state=state: torch.save(state, beside))  # type: ignore[misc]
            step(done, total)
    return trainer.trained(), history


def _batches(images: ImageSet, recipe: Recipe, epoch: int, skip: int) -> Iterator[tuple[Tensor, Tensor]]:
    order = np.random.default_rng((recipe.seed, epoch)).permutation(len(images))[skip * recipe.batch :]
    for number, (pixels, labels) in enumerate(images.subset(order).batches(recipe.batch), skip):
        yield mirror(pixels, np.random.default_rng((recipe.seed, epoch, number))), labels


class _Trainer:
    """The weights that are trained, and how."""

    def __init__(
        self,
        supernet: Supernet,
        space: Space,
        recipe: Recipe,
        loss: OutputLoss,
        labelled: bool,
        device: torch.device,
    ) -> None:
        self.space, self.recipe, self.loss, self.device = space, recipe, loss, device
        self.labelled = labelled and loss.has_head
        self.before = supernet
        start = tensors_of(supernet.graph) | dict(supernet.scales)
        if recipe.layer_scaling and not supernet.scales:
            start |= scales_of(supernet, space)
        self.weights = {name: nn.Parameter(value.clone().float().to(device)) for name, value in start.items()}
        graph = on_device(with_tensors(supernet.graph, self.weights), device)
        scales = {name: value for name, value in self.weights.items() if name not in tensors_of(graph)}
        teacher = on_device(supernet.teacher, device)
        self.supernet = replace(supernet, graph=graph, teacher=teacher, scales=scales, trained=True)
        matrices, others, vectors = (list[nn.Parameter]() for _ in range(3))
        for name, value in self.weights.items():
            inside = others if block_of(name) is None else matrices
            (vectors if value.ndim == 1 else inside).append(value)
        groups: list[dict[str, Any]] = [{"params": others}, {"params": vectors, "weight_decay": 0.0}]
        rate_of, decay = recipe.learning_rate, recipe.weight_decay
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=rate_of, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(groups, lr=rate_of, weight_decay=decay),
        ]

    def state(self) -> dict[str, Any]:
        weights = {name: value.detach() for name, value in self.weights.items()}
        return {"weights": weights, "optimizers": [each.state_dict() for each in self.optimizers]}

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        for name, value in self.weights.items():
            value.copy_(state["weights"][name])
        for optimizer, stored in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(stored)

    def step(self, pixels: Tensor, labels: Tensor, share: float, number: int) -> None:
        """The sandwich on one batch, each subnet's gradients added up."""
        pixels, labels = pixels.to(self.device), labels.to(self.device)
        random = Random(f"{self.recipe.seed}/{number}")
        drawn = [self.space.random(random) for _ in range(self.recipe.random)]
        subnets = [self.space.largest, self.space.smallest, *drawn]
        with mixed_precision(self.device):
            with torch.no_grad():
                wanted = self.supernet.teacher.trace(pixels) if self.recipe.distillation else {}
            for subnet in subnets:
                loss = self._objective(subnet, pixels, labels, wanted) / len(subnets)
                if not bool(torch.isfinite(loss)):
                    raise InputError(
                        f"training: the loss of {subnet} is {float(loss.detach())} at step {number + 1}; a "
                        "smaller train.learning_rate is needed"
                    )
                loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * share
            optimizer.step()
            # Weights and scales that no subnet of the batch has are left as they are: no gradient, no step.
            optimizer.zero_grad(set_to_none=True)

    def _objective(
        self, subnet: Subnet, pixels: Tensor, labels: Tensor, wanted: Mapping[str, Tensor]
    ) -> Tensor:
        graph = self._rounded(subnet)
        values = graph.trace(pixels)
        output = values[graph.output].flatten(1).float()
        parts: list[Tensor] = []
        if self.labelled:
            parts.append(F.cross_entropy(output, labels))
        if wanted:
            original = wanted[self.supernet.teacher.output].flatten(1).float()
            if self.loss.has_head:
                parts.append(soft_divergence(output, original))
            else:
                parts.append(relative_error(output, original))
        loss = torch.stack(parts).mean()
        if wanted:
            ends = self.supernet.ends
            errors = [
                relative_error(values[ends[block]], wanted[ends[subnet.behind(block)]][..., : subnet.width])
                for block in subnet.kept
            ]
            loss = loss + STREAMS * torch.stack(errors).mean()
        return loss

    def _rounded(self, subnet: Subnet) -> Graph:
        bits = self.supernet.bits(subnet)
        made = [
            replace(op, weight=rounded_rows(op.weight, torch.from_numpy(bits[op.out]).to(self.device)))
            if isinstance(op, Linear)
            else op
            for op in self.supernet.view(subnet).operations
        ]
        return Graph(tuple(made))

    @torch.no_grad()
    def measure(self, subnet: Subnet, held: Tensor) -> Measured:
        graph, teacher = self._rounded(subnet), self.supernet.teacher
        with mixed_precision(self.device):
            pairs = [(graph(x), teacher(x)) for x in torch.split(held.to(self.device), self.recipe.batch)]
        output, wanted = (torch.cat(part).cpu() for part in zip(*pairs, strict=True))
        return self.loss.compare(output, wanted)

    @torch.no_grad()
    def trained(self) -> Supernet:
        """The supernet with the weights as they are now; its largest subnet has no scales."""
        own = {name: value.detach().cpu() for name, value in self.weights.items()}
        graph = with_tensors(self.before.graph, own)
        scales = {name: own[name] for name in self.supernet.scales}
        return without_scales(
            replace(self.before, graph=graph, scales=scales, trained=True), self.space.largest
        )


def without_scales(supernet: Supernet, subnet: Subnet) -> Supernet:
    """The same subnets, with the scales of one of them in the weights."""
    own = {op.out: scale_name(op) for op in view(supernet.graph, supernet.groups, subnet).linears}
    own = {out: name for out, name in own.items() if name in supernet.scales}
    found: list[Operation] = []
    for op in supernet.graph.operations:
        if isinstance(op, Linear) and op.out in own:
            scale = supernet.scales[own[op.out]]
            op = replace(op, weight=op.weight * scale[:, None], bias=op.bias * scale)
        found.append(op)
    scales = {
        name: value / supernet.scales[own[out]] if (out := name.rpartition("/")[0]) in own else value
        for name, value in supernet.scales.items()
    }
    return replace(supernet, graph=Graph(tuple(found)), scales=scales)


def rounded_rows(weight: Tensor, bits: Tensor) -> Tensor:
    """Each row's nearest codes, times its scale; gradients pass straight through.

    Args:
        weight: (rows, inputs).
        bits: uint8 (rows,).
    """
    most = (2.0 ** (bits.float() - 1) - 1)[:, None]
    with torch.no_grad():
        widest = weight.abs().amax(1, keepdim=True).clamp_min(1e-12)
        best, least = widest / most, torch.full_like(widest, torch.inf)
        for clip in CLIPS:
            scale = clip * widest / most
            codes = (weight / scale).round().clamp(-most, most)
            error = (codes * scale - weight).square().sum(1, keepdim=True)
            best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    found = (weight / best).clamp(-most, most)
    return (found + (found.round() - found).detach()) * best


def tensors_of(graph: Graph) -> dict[str, Tensor]:
    """What is trained of a graph, by operation and kind."""
    return {
        f"{op.out}:{kind}": getattr(op, kind)
        for op in graph.operations
        for kind in _TRAINED
        if hasattr(op, kind)
    }


def with_tensors(graph: Graph, tensors: Mapping[str, Tensor]) -> Graph:
    """The same operations with other tensors."""

    def changed(op: Operation) -> Operation:
        own: dict[str, Any] = {kind: tensors[f"{op.out}:{kind}"] for kind in _TRAINED if hasattr(op, kind)}
        return replace(op, **own) if own else op

    return Graph(tuple(changed(op) for op in graph.operations))


def scales_of(supernet: Supernet, space: Space) -> dict[str, Tensor]:
    """Ones, for each number of channels that a projection into the stream may read."""
    found = {}
    for subnet in space.uniforms():
        joins = {op.out: op for op in supernet.view(subnet).linears}
        for name in supernet.groups.joined.values():
            if name in joins and block_of(name) is not None:
                found[scale_name(joins[name])] = torch.ones(len(supernet.ordering.channels[STREAM]))
    return found


def on_device(graph: Graph, device: torch.device) -> Graph:
    """The same operations with what they hold on a device."""

    def moved(op: Operation) -> Operation:
        if isinstance(op, Function):
            return replace(op, function=copy.deepcopy(op.function).to(device))
        return op

    tensors = {name: value.to(device) for name, value in tensors_of(graph).items()}
    return Graph(tuple(moved(op) for op in with_tensors(graph, tensors).operations))


def _hashes(supernet: Supernet) -> list[str]:
    tensors = tensors_of(supernet.graph) | supernet.ordering.tensors() | dict(supernet.scales)
    tensors |= {f"original {name}": value for name, value in tensors_of(supernet.teacher).items()}
    return hashes(dict(sorted(tensors.items())))
