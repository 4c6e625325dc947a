"""The files of a study's folder, each one type."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwnorm.artefact import Artefact, Part, first_fault
from hwnorm.engine.resources import Resources
from hwnorm.errors import InputError
from hwnorm.supernet.search import Score
from hwnorm.supernet.space import Block, Subnet

#: Scores of a study, a line each, in the order in which they came.
SCORES = "scores.jsonl"


class StoredSpace(Artefact):
    """``space.json``: what the study's file said when it was begun."""

    KIND = "nas_space"

    file: dict[str, Any]


class StoredBlock(Part):
    """As :class:`hwnorm.supernet.space.Block`."""

    heads: int
    units: int
    ratio8: float


class StoredSubnet(Part):
    """As :class:`hwnorm.supernet.space.Subnet`."""

    width: int
    blocks: list[StoredBlock | None]

    @classmethod
    def of(cls, subnet: Subnet) -> StoredSubnet:
        """A subnet as a file has it."""
        blocks = [None if b is None else StoredBlock(**vars(b)) for b in subnet.blocks]
        return cls(width=subnet.width, blocks=blocks)

    def subnet(self) -> Subnet:
        """The subnet that it tells."""
        blocks = tuple(None if b is None else Block(b.heads, b.units, b.ratio8) for b in self.blocks)
        return Subnet(self.width, blocks)


class StoredScore(Part):
    """As :class:`hwnorm.supernet.search.Score`."""

    loss: float
    agreement: float | None
    cycles: int
    products: int
    weight_bits: int
    engine: str


class ScoreLine(Part):
    """A line of :data:`SCORES`; no score of a subnet that no engine runs, or not as fast as is wanted."""

    subnet: StoredSubnet
    score: StoredScore | None


class Top1(Part):
    """Of an integer network on test images, in per cent, with its 95 % interval.

    ``lost`` is what the whole network with 8 bits has more, on the same images, likewise.
    """

    percent: float
    interval: tuple[float, float]
    lost: float
    lost_interval: tuple[float, float]


class NasPoint(Part):
    """A point of a front, built in integers and measured.

    ``loss`` is that of its integers on training images that neither a fit nor a score has seen; ``score``
    what it was searched by. ``cycles`` are those of the engine that runs its own integers: their functions
    may be some registers longer or shorter than those that the score counts with. ``resources`` are that
    engine's, None where they are not predicted; ``dsps`` its multipliers. ``top1`` is None where the network
    has no classes; ``cosine`` is that of its outputs with the original's on the test images.
    """

    subnet: StoredSubnet
    score: StoredScore
    loss: float
    parameters: int
    cycles: int
    images_per_second: float
    resources: Resources | None
    dsps: int
    top1: Top1 | None
    cosine: float


class NasFront(Artefact):
    """``front.json``: what no other scored subnet beats in loss and cycles, as many as were to be measured.

    ``whole`` is the largest network with all rows at 8 bits, built and measured alike. ``trained`` says that
    subnets are a trained supernet's; else they were fitted in closed form.
    """

    KIND = "nas_front"

    target: str
    clock_mhz: float
    budget: str
    scored: dict[str, int]
    front: int
    trained: bool
    hypervolume: dict[str, float]
    measured_on: int
    test_images: int
    test_images_from: str
    whole: NasPoint
    points: list[NasPoint]


class Scores:
    """The scores of a study that are known, and the file that they are added to.

    A line that a killed process has half written is cut off.

    Raises:
        InputError: the file is damaged elsewhere.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[Subnet, Score | None] = {}
        raw = path.read_bytes() if path.is_file() else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:
            os.truncate(path, len(whole))
        for number, line in enumerate(whole.decode(errors="replace").splitlines(), 1):
            try:
                found = ScoreLine.model_validate_json(line)
            except ValidationError as error:
                raise InputError(
                    f"{path}: line {number}: {first_fault(error)}; remove the file: scores are made anew"
                ) from None
            score = None if found.score is None else Score(**found.score.model_dump())
            self.known[found.subnet.subnet()] = score

    def add(self, scored: Iterable[tuple[Subnet, Score | None]]) -> None:
        """Note scores, on the disk too."""
        lines = []
        for subnet, score in scored:
            self.known[subnet] = score
            line = ScoreLine(
                subnet=StoredSubnet.of(subnet), score=None if score is None else StoredScore(**vars(score))
            )
            lines.append(json.dumps(line.to_json()) + "\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
