"""Points of a front as they are built: a subnet's file, its integers, and what they give."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hwnorm.data.config import input_config
from hwnorm.engine.resources import Resources
from hwnorm.files import digest, write_whole
from hwnorm.integers.network import IntegerNetwork, Pixels
from hwnorm.integers.quantize import Recipe as Integers
from hwnorm.nas.scoring import Context, pixels_of
from hwnorm.nas.spacefile import NasStudy
from hwnorm.nas.stored import NasPoint, StoredScore, StoredSubnet, Top1
from hwnorm.network.evaluate import Accuracy
from hwnorm.network.paired import PairedAccuracy
from hwnorm.network.subnet import weights_file
from hwnorm.realign.distributed import processes
from hwnorm.realign.finetune import Recipe, finetune
from hwnorm.runs.settings import target_of
from hwnorm.supernet.extract import Extracted
from hwnorm.supernet.fit import Fitting
from hwnorm.supernet.measure import Build, integers, realigned
from hwnorm.supernet.search import Score
from hwnorm.supernet.space import Subnet
from hwnorm.supernet.stored import SUBNET

#: Images that a point's layers are fitted to, at most: what its layers read is in memory for all of them.
_FITTED = 2000
#: Where points lie in a study's folder.
POINTS = "points"
#: Resources of an engine, as they are stored.
_TAKEN = tuple(field.name for field in fields(Resources))
#: What a point's integers put out, and the engine that runs them.
OUTPUTS = "outputs.safetensors"


def point_folder(study: NasStudy, subnet: Subnet) -> Path:
    """Where a study has what it has built of a subnet."""
    return study.folder / POINTS / digest(StoredSubnet.of(subnet).to_json())


@dataclass(frozen=True, eq=False)
class Built:
    """What a subnet's integers put out for the images to measure on, and for the test images.

    ``cycles``, ``dsps`` and ``resources`` are of the fastest engine that runs them.
    """

    measure: Tensor
    test: Tensor
    parameters: int
    cycles: int
    dsps: int
    resources: Resources | None


class Points:
    """Builds and measures subnets of a study; what was built before is read again."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.settings = context.run.settings

    def folder(self, subnet: Subnet) -> Path:
        """Where a point lies: its subnet's file, and its outputs."""
        return point_folder(self.context.study, subnet)

    @cached_property
    def _images(self) -> Tensor:
        return pixels_of(self.context.inputs.training_images.limited(_FITTED))

    @cached_property
    def held_out(self) -> Tensor:
        """Training images to measure on: (n, C, H, W)."""
        return pixels_of(self.context.split.measure)

    @cached_property
    def _test(self) -> Tensor:
        return pixels_of(self.context.inputs.test_images)

    @cached_property
    def _fitting(self) -> Fitting:
        found = self.context
        return Fitting(found.supernet, self._images, self.held_out[:1], found.loss, rounding=False)

    @cached_property
    def _build(self) -> Build:
        s, pixels = self.settings, Pixels.of(input_config(self.context.model))
        recipe = Integers(activation_bits=s.activation_bits)
        return Build(self.context.student, pixels, self._images, recipe, target_of(s), s.clock_mhz)

    @cached_property
    def wanted(self) -> tuple[Tensor, Tensor]:
        """What the original puts out for the same images."""
        with torch.no_grad():
            measure, test = (
                torch.cat([self.context.model(part).flatten(1) for part in torch.split(images, 250)])
                for images in (self.held_out, self._test)
            )
        return measure, test

    def build(self, subnet: Subnet) -> Built:
        """A point's subnet as a file, and what its integers put out."""
        folder = self.folder(subnet)
        path = folder / OUTPUTS
        if not path.is_file():
            context = self.context
            extracted, network = self.integers(subnet)
            extracted.write(folder / SUBNET, self.settings.seed, context.original)
            module = network.to_module()
            engine = context.costs.fastest(network)
            found = {"measure": module(self.held_out), "test": module(self._test)}
            taken = [] if engine.resources is None else [getattr(engine.resources, n) for n in _TAKEN]
            found["engine"] = torch.tensor([engine.cycles, engine.dsps, *taken])
            write_whole(path, lambda beside: save_file(found, beside))
        found = load_file(path)
        weights = load_file(weights_file(folder / SUBNET))
        cycles, dsps, *taken = found["engine"].tolist()
        resources = Resources(**dict(zip(_TAKEN, taken, strict=True))) if taken else None
        parameters = sum(value.numel() for value in weights.values())
        return Built(found["measure"], found["test"], parameters, cycles, dsps, resources)

    def integers(self, subnet: Subnet) -> tuple[Extracted, IntegerNetwork]:
        """A subnet re-aligned, fine-tuned where the study asks for it, and in integers; writes nothing."""
        extracted = realigned(self._fitting, self._build.model, subnet)
        self._tune(extracted.module, self.folder(subnet) / "finetune.pt")
        return extracted, integers(self._build, extracted, self.context.loss).network

    def _tune(self, module: nn.Module, checkpoint: Path) -> None:
        """Train a subnet by labels and the original's logits, where the study asks for that."""
        search = self.context.study.file.search
        if not search.epochs:
            return
        s = self.settings
        recipe = Recipe("D", search.epochs, learning_rate=s.learning_rate, seed=s.seed)
        with processes() as device:
            finetune(
                module.to(device),
                self.context.model.to(device),
                {},
                self.context.split.train,
                recipe,
                checkpoint,
            )
        module.cpu().requires_grad_(False)
        self.context.model.cpu()
        checkpoint.unlink(missing_ok=True)

    def point(self, subnet: Subnet, score: Score, whole: Built) -> NasPoint:
        """A point with what was measured of it; ``whole`` is what it is held against."""
        built, (measure, test) = self.build(subnet), self.wanted
        tests = self.context.inputs.test_images
        labels = torch.cat([labels for _, labels in tests.batches(1000)])
        classes = tests.labelled and self.context.loss.has_head
        return NasPoint(
            subnet=StoredSubnet.of(subnet),
            score=StoredScore(**vars(score)),
            loss=self.context.loss.compare(built.measure, measure).loss,
            parameters=built.parameters,
            cycles=built.cycles,
            images_per_second=self.settings.clock_mhz * 1e6 / built.cycles,
            resources=built.resources,
            dsps=built.dsps,
            top1=_top1(built.test, whole.test, labels) if classes else None,
            cosine=float(torch.cosine_similarity(built.test, test.double()).mean()),
        )


def _top1(found: Tensor, whole: Tensor, labels: Tensor) -> Top1:
    right, before = (output.argmax(1) == labels for output in (found, whole))
    accuracy = Accuracy(int(right.sum()), len(labels))
    paired = PairedAccuracy.of(right, before)
    low, high = paired.interval
    return Top1(
        percent=accuracy.percent,
        interval=accuracy.interval,
        lost=-paired.difference,
        lost_interval=(-high, -low),
    )
