"""The stage ``engine``: the accelerator of a run's integer network, picked and written as a package."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from hwnorm.artefact import first_fault
from hwnorm.data.config import input_config
from hwnorm.engine.devices import budget_of
from hwnorm.engine.engine import Engine
from hwnorm.engine.package import emit_engine
from hwnorm.engine.program import Program, compile_program
from hwnorm.engine.space import evaluate, front
from hwnorm.engine.stored import PACKAGE, EngineParameters, PhaseCycles, Point, StoredEngine
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.integers.network import IntegerNetwork
from hwnorm.progress import err
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import ENGINE
from hwnorm.runs.seals import engine_seal
from hwnorm.stages.quantize import integer_network

#: Images that a package's own simulation runs.
VECTORS = 1
#: What is taken of a device where no budget is given.
BUDGET = "dsp=0.08"


def engine(
    run: RunFolder,
    inputs: Inputs,
    budget: str | None = None,
    fps: float | None = None,
    config: Path | None = None,
    clock_mhz: float | None = None,
) -> StoredEngine:
    """Write and return ``engine.json``, and the package ``engine/`` before it.

    The fastest engine within the budget; with ``fps`` the smallest that reaches it; with ``config`` that one.

    Raises:
        InputError: no integers, a budget or a file that is none, or nothing that meets what is asked for.
    """
    network = integer_network(run)
    image = tuple(input_config(inputs.model)["input_size"])
    target = run.settings.target
    clock = run.settings.clock_mhz if clock_mhz is None else clock_mhz
    bits = _activation_bits(network)
    if config is not None:
        if budget is not None or fps is not None:
            raise InputError("option --config: names the engine; it goes without --budget and --fps")
        found = [evaluate(network, _read(config), image)]
    else:
        most = budget_of(budget or ("dsp=1.0" if fps is not None else BUDGET), target)
        # A rate that is just that of so many cycles allows them, whatever its last bit.
        cycles = None if fps is None else int(clock * 1e6 / fps * (1 + 1e-12))
        err.print("engine: predict every engine of the space", highlight=False)
        found = front(network, image, most, target, bits, cycles=cycles)
    picked = found[0] if fps is not None else found[-1]
    images, _ = next(inputs.test_images.batches(VECTORS))
    folder = run.path / PACKAGE
    manifest = emit_engine(picked, images.numpy(), folder, clock)
    stored = StoredEngine(
        seal=engine_seal(run.path),
        target=target,
        clock_mhz=clock,
        picked=Point.of(picked),
        front=[Point.of(candidate) for candidate in found],
        products=picked.program.products,
        busy=picked.timing.busy,
        stall=picked.timing.stall,
        weight_bytes=manifest.beats * (picked.engine.beat // 8),
        memories=vars(picked.program.sizes),
        phases=[PhaseCycles(**vars(phase) | {"op": phase.op.name.lower()}) for phase in picked.timing.phases],
    )
    made_from = run.made_from(ENGINE, inputs, options=digest(budget, fps, config and digest(config), clock))
    run.write(ENGINE, stored, made_from, beside=(folder,))
    return stored


def picked_program(run: RunFolder, inputs: Inputs) -> Program:
    """What the engine that a run folder holds computes.

    Raises:
        InputError: there is none, or it is older than its network.
    """
    stored = run.read(ENGINE)
    image = tuple(input_config(inputs.model)["input_size"])
    return compile_program(integer_network(run), stored.picked.engine.engine(), image)


def _activation_bits(network: IntegerNetwork) -> int:
    """Of what linear layers read, behind the first."""
    formats = network.formats
    return max(formats[op.x].width for op in network.linears[1:])


def _read(path: Path) -> Engine:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise InputError(f"{path}: cannot be read as JSON ({reason})") from None
    try:
        return EngineParameters.model_validate(data).engine()
    except ValidationError as error:
        raise InputError(f"{path}: {first_fault(error)}") from None
