"""What the subnets of a study are scored with, in this process or in workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hwnorm.builtin import model as builtin
from hwnorm.data.config import input_config
from hwnorm.data.images import load_images
from hwnorm.data.imageset import ImageSet
from hwnorm.engine.space import Fastest, NoEngine
from hwnorm.errors import InputError
from hwnorm.files import write_whole
from hwnorm.graph.read import read_graph
from hwnorm.nas.spacefile import AXES, NasStudy, read_space
from hwnorm.network.models import model_arguments
from hwnorm.network.output_loss import Measured, OutputLoss, has_head
from hwnorm.network.subnet import read_subnet
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.stages.quantize import integer_network, networks
from hwnorm.supernet.cost import Cost, Costs
from hwnorm.supernet.fit import Fitting, block_order
from hwnorm.supernet.search import Score
from hwnorm.supernet.slices import STREAM, Groups
from hwnorm.supernet.space import Space, Subnet
from hwnorm.supernet.stored import SUBNET, read_record, read_supernet
from hwnorm.supernet.supernet import Ordering, Supernet
from hwnorm.threads import single_threaded

#: The file of a study that says in which order channels, rows and blocks are given up.
ORDERING = "ordering.safetensors"
#: Training images from which the order of channels comes.
_ORDERED_BY = 256
#: Training images, held out from fits and from scores, that points of the front are measured on at most.
MEASURED_ON = 2000


@dataclass(frozen=True, eq=False)
class Split:
    """Training images of a study: none of ``held`` and of ``measure`` is in another.

    ``fit`` are of those that the run of the whole network has seen, ``held`` and ``measure`` of the others;
    ``train`` are all but these two, to fine-tune on.
    """

    fit: ImageSet
    held: ImageSet
    measure: ImageSet
    train: ImageSet

    @classmethod
    def of(cls, study: NasStudy, model: nn.Module) -> Split:
        """The run's images first, then those to score on, then those to measure on.

        Raises:
            InputError: there are not so many.
        """
        s, search = study.settings, study.file.search
        images = load_images(s.data, "train", model, s.classes)
        if search.fit > s.images:
            raise InputError(
                f"{study.path}: search.fit: {search.fit}; run.images is {s.images}: at most so many"
            )
        left = len(images) - s.images - search.held
        if left < 1:
            raise InputError(
                f"{study.path}: run.images: {s.images}, and search.held {search.held} others; there are "
                f"{len(images)} training images ({images.description}): the run must leave images to score "
                "and to measure on"
            )
        first, end = s.images + search.held, s.images + search.held + min(left, MEASURED_ON)
        return cls(
            images.limited(search.fit),
            images.subset(np.arange(s.images, first)),
            images.subset(np.arange(first, end)),
            images.subset(np.r_[0 : s.images, end : len(images)]),
        )


def pixels_of(images: ImageSet) -> Tensor:
    """All of them: float32 (n, C, H, W)."""
    return torch.cat([pixels for pixels, _ in images.batches(250)])


class Context:
    """The supernet of a study, and what scores its subnets.

    ``model`` is the original, ``student`` what the supernet was read from.

    Args:
        study: whose run of the whole network has its integers.
        supernet: the folder of a trained one; None: the re-aligned network, whose subnets are fitted.
    """

    def __init__(self, study: NasStudy, supernet: Path | None) -> None:
        self.study = study
        self.run = RunFolder.open(study.base(supernet))
        self.inputs = Inputs(study.settings)
        self.model = self.inputs.model
        self.student = networks(self.run, Inputs(self.run.settings)).student
        self.loss = OutputLoss(has_head(self.model))
        self.split = Split.of(study, self.model)
        with single_threaded():
            self._order(supernet)
        self.image = tuple(input_config(self.model)["input_size"])
        bits = self.run.settings.activation_bits
        fastest = Fastest(self.image, study.most, study.settings.target, bits)
        self.costs = Costs(integer_network(self.run), self.supernet.groups, self.image, fastest)

    def _order(self, supernet: Path | None) -> None:
        teacher = read_graph(self.model)
        path = self.study.folder / ORDERING
        if supernet is not None:
            self.supernet, blocks = read_supernet(supernet, self.student, teacher)
        elif path.is_file():
            tensors = load_file(path)
            blocks = tuple(tensors.pop("blocks").tolist())
            ordering = Ordering.from_tensors(tensors)
            self.supernet = Supernet.of(read_graph(self.student), teacher, ordering)
        else:
            images, blocks = pixels_of(self.split.fit.limited(_ORDERED_BY)), ()
            graph = read_graph(self.student)
            self.supernet = Supernet.of(graph, teacher, Ordering.of(graph, teacher, images, self.loss))
        fit, held = pixels_of(self.split.fit), pixels_of(self.split.held)
        self.fitting = Fitting(self.supernet, fit, held, self.loss)
        if not blocks:
            blocks = self._blocks()
            stored = self.supernet.ordering.tensors() | {"blocks": torch.tensor(blocks)}
            write_whole(path, lambda beside: save_file(stored, beside))
        self.space = space_of(self.study, blocks)

    def _blocks(self) -> tuple[int, ...]:
        count = depth_of(self.supernet.groups)
        space = space_of(self.study, tuple(range(count)))
        whole = space.uniform(space.width[-1], count, space.genes[-1])
        return block_order(self.fitting, whole, space.depth[0])

    @property
    def original(self) -> dict[str, Any]:
        """``model`` and ``arguments`` of a subnet's file: what it is a part of."""
        s = self.study.settings
        arguments = model_arguments(s.model_args)
        if s.model != builtin.NAME:
            arguments |= {"num_classes": int(getattr(self.model, "num_classes", 0))}
            arguments |= {"img_size": list(self.image[1:])}
        return {"model": s.model, "arguments": arguments}

    def cost(self, subnet: Subnet) -> Cost:
        """As :class:`hwnorm.supernet.cost.Costs` has it."""
        return self.costs(subnet, self.supernet.bits(subnet))

    def score(self, subnet: Subnet) -> Score | None:
        """Of a subnet; None where no engine within the budget runs it, or not as fast as is wanted."""
        try:
            cost = self.cost(subnet)
        except NoEngine:
            return None
        if self.study.cycles is not None and cost.cycles > self.study.cycles:
            return None
        with single_threaded():
            return score_of(cost, self.fitting(subnet).loss)


def score_of(cost: Cost, lost: Measured) -> Score:
    """What a subnet costs and loses, as a search takes it."""
    engine = str(cost.candidate.engine)
    return Score(lost.loss, lost.agreement, cost.cycles, cost.products, cost.weight_bits, engine)


def depth_of(groups: Groups) -> int:
    """Blocks of the whole network."""
    return sum(group.startswith("units.") for group in groups.sizes)


def space_of(study: NasStudy, order: tuple[int, ...]) -> Space:
    """The study's space over blocks in an order."""
    axes = study.axes
    width, depth, heads, mlp, ratio8 = (tuple(axes[name]) for name in AXES)
    return Space(width, depth, heads, mlp, ratio8, order)


def check_study(study: NasStudy) -> None:
    """Hold a study against its network and its images, before anything is run.

    Raises:
        InputError: a value is more than the network has, or a share of it that is none; or there are too few
            images.
    """
    if study.supernet is not None:
        _check_trained(study, study.supernet)
    model = Inputs(study.settings).model
    Split.of(study, model)
    groups, axes = Groups.read(read_graph(model)), study.axes
    blocks, sizes = depth_of(groups), groups.sizes
    width = sizes[STREAM]
    heads = min(sizes[f"heads.{i}"] for i in range(blocks)) // groups.head_dim
    units = min(sizes[f"units.{i}"] for i in range(blocks))
    for name, most in (("width", width), ("depth", blocks), ("heads", heads)):
        if axes[name][-1] > most:
            raise InputError(f"{study.path}: space.{name}: {axes[name][-1]}; the network has {most}")
    for mlp in axes["mlp"]:
        for channels in axes["width"]:
            found = mlp * channels
            if abs(found - round(found)) > 1e-9:
                raise InputError(
                    f"{study.path}: space.mlp: {mlp:g} times a width of {channels} is {found:g} units; a "
                    "whole number was expected"
                )
            if found > units:
                raise InputError(
                    f"{study.path}: space.mlp: {mlp:g} times a width of {channels} is {found:g} units; the "
                    f"network has {units}"
                )


def _check_trained(study: NasStudy, folder: Path) -> None:
    """Subnets that a supernet was not trained for are nothing."""
    found, own = read_subnet(folder / SUBNET).model, study.settings.model
    if found != own:
        raise InputError(f"{study.path}: run.model: {own!r}; the supernet of {folder} is of {found!r}")
    trained = read_record(folder).space
    for name in AXES:
        known = getattr(trained, name)
        for value in study.axes[name]:
            if value not in known:
                raise InputError(
                    f"{study.path}: space.{name}: {value:g}; the supernet of {folder} was trained with "
                    f"{', '.join(f'{each:g}' for each in known)}"
                )


@lru_cache(maxsize=1)
def context(path: Path) -> Context:
    """That of a study, kept in a process for all that it scores."""
    torch.set_num_threads(1)
    study = read_space(path)
    return Context(study, study.supernet)


def score_some(path: Path, subnets: Sequence[Subnet]) -> list[Score | None]:
    """Scores in their order; what a worker does."""
    found = context(path)
    return [found.score(subnet) for subnet in subnets]
