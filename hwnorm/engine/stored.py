"""What is stored of an engine: the front that it was picked from, its cycles, its package's seal."""

from __future__ import annotations

from dataclasses import asdict
from typing import ClassVar, Literal

from hwnorm.artefact import Artefact, InsideName, Part
from hwnorm.engine.engine import Engine
from hwnorm.engine.resources import Resources
from hwnorm.engine.space import Candidate

#: The package's folder in a run folder.
PACKAGE = "engine"


class EngineParameters(Part):
    """As :class:`hwnorm.engine.engine.Engine` has them; what ``--config`` takes."""

    tokens: int
    columns: int
    depth: int
    activation_bits: int = 8
    beat: int = 128
    device: str = "xcup"
    rescale: Literal["dsp", "lut"] = "lut"
    lut_columns: int = 0

    def engine(self) -> Engine:
        """Raises InputError where they make no engine."""
        return Engine(**self.model_dump())

    @classmethod
    def of(cls, engine: Engine) -> EngineParameters:
        return cls(**asdict(engine))


class Point(Part):
    """An engine of the front: cycles of an image, products made of those that could be, what it takes.

    ``dsps`` counts the array's multipliers and the epilogue's; ``resources`` are those of the whole top,
    predicted; None where parts of it were not measured.
    """

    engine: EngineParameters
    dsps: int
    resources: Resources | None
    cycles: int
    utilisation: float

    @classmethod
    def of(cls, candidate: Candidate) -> Point:
        return cls(
            engine=EngineParameters.of(candidate.engine),
            dsps=candidate.dsps,
            resources=candidate.resources,
            cycles=candidate.cycles,
            utilisation=candidate.utilisation,
        )


class PhaseCycles(Part):
    """A phase of an image: when its first word is read and when its last one has been, words, waits."""

    name: str
    op: str
    begin: int
    end: int
    busy: int
    waited: dict[str, int]


class StoredEngine(Artefact):
    """``engine.json``: the engine that ``engine/`` holds, predicted."""

    KIND: ClassVar[str] = "engine"

    seal: str
    target: str
    clock_mhz: float
    picked: Point
    front: list[Point]
    products: tuple[int, int]
    busy: int
    stall: int
    weight_bytes: int
    memories: dict[str, int]
    phases: list[PhaseCycles]

    def rate(self, point: Point) -> float:
        """Images a second of an engine, at the clock that is assumed."""
        return self.clock_mhz * 1e6 / point.cycles


class EngineManifest(Artefact):
    """``manifest.json`` of an engine's package: its parameters and every file's hash.

    ``clock_mhz`` is what it was made for; ``resources`` are those of the whole top, predicted; None where
    parts of it were not measured. ``vectors`` counts the images that the package's own simulation runs.
    """

    KIND: ClassVar[str] = "engine_package"

    engine: EngineParameters
    parameters: dict[str, int]
    cycles: int
    clock_mhz: float
    resources: Resources | None
    vectors: int
    beats: int
    pixels: int
    files: dict[InsideName, str]


class StoredCosim(Artefact):
    """``cosim.json``: whole images through the engine's Verilog, beside the network and the prediction."""

    KIND: ClassVar[str] = "cosim"

    images: int
    logits_equal: int
    cycles_equal: int
    predicted: list[int]
    counted: list[int]
    test_fingerprint: str

    @property
    def passed(self) -> bool:
        return self.logits_equal == self.cycles_equal == self.images
