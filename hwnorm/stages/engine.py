"""The stage ``engine``: the accelerator of a run's integer network, picked and written as a package."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from hwnorm.artefact import first_fault
from hwnorm.data.config import input_config
from hwnorm.engine.devices import budget_of, whole
from hwnorm.engine.engine import Engine
from hwnorm.engine.package import emit_engine
from hwnorm.engine.program import Program, compile_program
from hwnorm.engine.space import evaluate, front, most_cycles
from hwnorm.engine.stored import PACKAGE, EngineParameters, PhaseCycles, Point, StoredEngine
from hwnorm.errors import InputError
from hwnorm.files import digest
from hwnorm.integers.network import IntegerNetwork
from hwnorm.integers.operations import Exponentials, IntegerFunction
from hwnorm.lowering.lower import pipelined
from hwnorm.progress import err
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import ENGINE
from hwnorm.runs.seals import engine_seal
from hwnorm.stages.quantize import integer_network
from hwnorm.targets.target import load_target

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
    target: str | None = None,
    clock_mhz: float | None = None,
) -> StoredEngine:
    """Write and return ``engine.json``, and the package ``engine/`` before it.

    The fastest engine within the budget; with ``fps`` the smallest that reaches it; with ``config`` that one.
    Target and clock are the run's where they are not given.

    Raises:
        InputError: no integers, a budget or a file that is none, nothing that meets what is asked for, or a
            clock that a function cannot reach on the target.
    """
    image = tuple(input_config(inputs.model)["input_size"])
    target = target or run.settings.target
    whole(target)  # refuses what engines are not built for
    clock = run.settings.clock_mhz if clock_mhz is None else clock_mhz
    network = _network(run, target, clock)
    bits = _activation_bits(network)
    if config is not None:
        if budget is not None or fps is not None:
            raise InputError("option --config: names the engine; it goes without --budget and --fps")
        found = [evaluate(network, _read(config, target), image)]
    else:
        most = budget_of(budget or ("dsp=1.0" if fps is not None else BUDGET), target)
        cycles = None if fps is None else most_cycles(clock, fps)
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
    options = digest(budget, fps, config and digest(config), target, clock)
    made_from = run.made_from(ENGINE, inputs, options=options)
    run.write(ENGINE, stored, made_from, beside=(folder,))
    return stored


def picked_program(run: RunFolder, inputs: Inputs) -> Program:
    """What the engine that a run folder holds computes.

    Raises:
        InputError: there is none, or it is older than its network.
    """
    stored = run.read(ENGINE)
    image = tuple(input_config(inputs.model)["input_size"])
    network = _network(run, stored.target, stored.clock_mhz)
    return compile_program(network, stored.picked.engine.engine(), image)


def _network(run: RunFolder, target: str, clock_mhz: float) -> IntegerNetwork:
    """The run's integers; for another target than the run's, its functions are cut into stages anew."""
    network = integer_network(run)
    if target == run.settings.target:
        return network
    device = load_target(target)
    operations = (
        replace(op, datapath=pipelined(op.datapath, device, clock_mhz))
        if isinstance(op, IntegerFunction | Exponentials)
        else op
        for op in network.operations
    )
    return replace(network, operations=tuple(operations))


def _activation_bits(network: IntegerNetwork) -> int:
    """Of what linear layers read, behind the first."""
    formats = network.formats
    return max(formats[op.x].width for op in network.linears[1:])


def _read(path: Path, target: str) -> Engine:
    """The engine of a file; it is for the target unless the file has another device."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise InputError(f"{path}: cannot be read as JSON ({reason})") from None
    try:
        given = {"device": target} | data if isinstance(data, dict) else data
        engine = EngineParameters.model_validate(given).engine()
    except ValidationError as error:
        raise InputError(f"{path}: {first_fault(error)}") from None
    if engine.device != target:
        raise InputError(f"{path}: device {engine.device}; the engine is built for {target}, see --target")
    return engine
