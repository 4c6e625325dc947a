"""Measures the modules of engines by synthesis, and fits what their areas depend on.

``hwnorm characterize --engine`` does it. Engines by chance, not of any network, are synthesized module by
module; memories apart, and kernels not at all: their costs are those of datapaths (:mod:`hwnorm.cost`).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from hwnorm.cost.blocks import memory
from hwnorm.emit.render import render
from hwnorm.engine.emit import Unit, hardware_sources, top_sources
from hwnorm.engine.engine import SCORE_BITS, STREAM_BITS, Engine, shared_bits, sharing
from hwnorm.engine.parts import TERMS, Family, Parameters, instances
from hwnorm.engine.phase import DESCRIPTOR_BITS
from hwnorm.engine.resources import Coefficients, PartCosts, unit_parameters
from hwnorm.files import digest, write_text
from hwnorm.progress import track
from hwnorm.resources import resource
from hwnorm.synth.flow import Counts, module_counts
from hwnorm.synth.synthesize import Synthesis, synthesize
from hwnorm.targets.target import Target
from hwnorm.tools import YOSYS, versions_of

#: The engines that coefficients are fitted to: seeds, among which every case of every module occurs.
SEEDS = (20_000, 20_001, 20_002, 20_003, 20_004, 20_005, 20_006, 20_009)
#: Memories, words and bits: of LUTs and of blocks, one part or several above one another.
MEMORIES = (
    (12, 40), (20, 24), (28, 56), (40, 16), (44, 80), (60, 48), (64, 30), (70, 64), (90, 24), (96, 40),
    (108, 16), (120, 72), (128, 60), (200, 16), (600, 4), (130, 64), (256, 80), (513, 48), (1024, 16),
    (1100, 40), (1500, 72),
)  # fmt: skip
#: What is left out of engines.
BOXES = ("*engine_memory", "*engine_function_*", "*engine_exponential_*")


@dataclass(frozen=True)
class Drawn:
    """Hardware by chance: the core's parameters and what its units hold."""

    parameters: dict[str, int]
    functions: Unit
    exponentials: Unit

    def sources(self) -> dict[str, str]:
        """Its Verilog; kernels are empty."""
        kernels = [*self.functions["kernels"], *self.exponentials["kernels"]]
        context = {"kernels": kernels, "a_bits": self.parameters["A_BITS"]}
        return {
            **top_sources(self.parameters),
            **hardware_sources(self.parameters, self.functions, self.exponentials),
            "kernels.v": render("characterize/kernels.v.j2", context),
        }


def draw(device: str, rng: np.random.Generator) -> Drawn:
    """Hardware with at most 64 multipliers and 24 tokens, of any shape that can be elaborated."""
    # Most have activations of 8 bits.
    ways = [8, *shared_bits(device)]
    bits = ways[rng.integers(len(ways))]
    pair = sharing(device, bits).pair
    tokens = columns = depth = 64
    while tokens * columns * depth > 64:
        tokens = pair * int(rng.integers(1, 24 // pair + 1))
        columns, depth = int(rng.integers(1, 5)), int(rng.choice([1, 2, 3, 4, 5, 6, 8, 10, 12]))
    engine = Engine(
        tokens, columns, depth, bits, int(rng.choice([64, 128, 256, 512])), device,
        lut_columns=int(rng.integers(0, columns + 1)),
    )  # fmt: skip
    patches, first = int(rng.integers(4, 60)), int(rng.integers(0, 2))
    pixels = int(rng.choice([n for n in (1, 2, 4, 8) if depth % n == 0]))
    units = [
        _unit(name, start, width, rng)
        for name, start, width in (("engine_function", 1, STREAM_BITS), ("engine_exponential", 0, SCORE_BITS))
    ]
    keys = patches + first
    parameters = {
        "TOKENS": tokens, "COLUMNS": columns, "LUT_COLUMNS": engine.lut_columns, "DEPTH": depth,
        "A_BITS": bits, **engine.sharing.parameters, "SUM": int(rng.integers(21, 31)),
        "LANE_DSP": int(rng.integers(0, 2)),
        "TOTAL": int(rng.integers(40, 67)), "STREAM": STREAM_BITS, "SCORE": SCORE_BITS,
        "DIGITS": int(rng.integers(16, 24)), "BEAT": engine.beat, "PIXELS": pixels,
        "CHANNELS": int(rng.integers(1, 4)), "ROWS": 1, "LINE": patches,
        "HEIGHT": int(rng.integers(1, 8)), "WIDTH": pixels * int(rng.integers(1, 5)), "FIRST": first,
        "KEYS": keys, "TILES": -(-keys // tokens), "CLASSES": int(rng.integers(2, 100)),
        "WORDS": int(rng.integers(4, 100)), "A_WORDS": 300, "K_WORDS": 100, "V_WORDS": 100, "P_WORDS": 100,
        "S_WORDS": 200, "PHASES": int(rng.integers(8, 65)), "DESCRIPTOR": DESCRIPTOR_BITS,
        "F_LATENCY": units[0]["latency"], "E_LATENCY": units[1]["latency"],
    }  # fmt: skip
    return Drawn(parameters, *units)


def _unit(name: str, start: int, width: int, rng: np.random.Generator) -> Unit:
    """Kernels by chance: how many, of how many bits, and how much earlier than the slowest they end."""
    latency, count = int(rng.integers(1, 9)), int(rng.integers(1, 6))
    delays = [0, *(int(rng.integers(0, latency)) for _ in range(count - 1))]
    return {
        "latency": latency,
        "start": start,
        "kernels": [
            {
                "number": number,
                "module": f"{name}_{number}_core",
                "input": width,
                "delay": delay,
                "comment": "by chance",
            }
            for number, delay in enumerate(delays, start)
        ],
    }


def renamed(texts: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The same Verilog with a prefix before the name of each module and file, so that designs go together."""
    modules = {name for text in texts.values() for name in re.findall(r"^module (\w+)", text, re.MULTILINE)}
    names = [rf"\b({'|'.join(modules)})\b"]
    # Files that memories begin with are named in quotes.
    names += [f'(?<=")({re.escape(name)})(?=")' for name in texts if not name.endswith(".v")]
    pattern = re.compile("|".join(names))
    return {f"{prefix}{name}": pattern.sub(rf"{prefix}\g<0>", text) for name, text in texts.items()}


def synthesize_together(
    designs: Sequence[Mapping[str, str]],
    tops: Sequence[tuple[str, Mapping[str, int]]],
    target: Target,
    folder: Path,
    boxes: Sequence[str] = (),
    yosys: str = YOSYS,
) -> Synthesis:
    """Several designs in one run of Yosys, module by module; names of modules of design 3 begin with ``e3_``.

    Args:
        designs: the Verilog of each, and the files ``.mem`` that its memories begin with.
        tops: the top module of each, and its parameters.
        target: the technology.
        folder: of the run.
        boxes: patterns of modules that are left out.
        yosys: the command.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        name: text for i, design in enumerate(designs) for name, text in renamed(design, f"e{i}_").items()
    }
    named = [(f"e{i}_{name}", parameters) for i, (name, parameters) in enumerate(tops)]
    texts["top.v"] = render("characterize/engines.v.j2", {"tops": named})
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    sources = [folder / name for name in texts if name.endswith(".v")]
    return synthesize(sources, "top", target.flow, folder, yosys=yosys, by_module=True, boxes=boxes)


def measure_engines(target: Target, folder: Path, yosys: str = YOSYS) -> list[tuple[str, Parameters, Counts]]:
    """Modules of engines by chance: name, parameters, and what each takes without its submodules.

    Runs that lie in the folder already are not made again.
    """
    found = []
    for seed in track(SEEDS, f"{target.name}: engines", len(SEEDS)):
        drawn = draw(target.name, np.random.default_rng(seed))
        modules = _modules([drawn.sources()], [("hwnorm_engine", {})], target, folder, yosys, BOXES)
        units = (unit_parameters(drawn.parameters, unit) for unit in (drawn.functions, drawn.exponentials))
        for part in instances(drawn.parameters, *units):
            if part.count and part.module != "engine_memory":
                found.append((part.module, part.parameters, _of(modules, f"e0_{part.module}")))
    return found


def measure_memories(
    target: Target, folder: Path, yosys: str = YOSYS
) -> list[tuple[str, Parameters, Counts]]:
    """Memories of :data:`MEMORIES`, as modules of engines are measured; without what holds their words."""
    name = "engine_memory"
    text = {f"{name}.v": (resource("rtl") / "engine" / f"{name}.v").read_text(encoding="utf-8")}
    sizes = [{"WORDS": words, "BITS": bits} for words, bits in MEMORIES]
    modules = _modules([text] * len(sizes), [(name, size) for size in sizes], target, folder, yosys)
    found: list[tuple[str, Parameters, Counts]] = []
    for i, size in enumerate(sizes):
        counts = _of(modules, f"e{i}_{name}")
        holds = memory(size["WORDS"], size["BITS"], target.flow.technology)
        found.append((name, size, replace(counts, lut=counts.lut - holds.lut)))
    return found


def _modules(
    designs: Sequence[Mapping[str, str]],
    tops: Sequence[tuple[str, Mapping[str, int]]],
    target: Target,
    folder: Path,
    yosys: str,
    boxes: Sequence[str] = (),
) -> dict[str, Counts]:
    """The counts of each module; a run that lies in the folder is not made again."""
    work = folder / f"engines-{digest(designs, tops, target.flow.options)}"
    kept = work.with_suffix(".json")
    if not kept.is_file():
        # What memories begin with does not change what they take.
        empty = dict.fromkeys(("program.mem", "table.mem"), "")
        made = synthesize_together(
            [{**design, **empty} for design in designs], tops, target, work, boxes, yosys
        )
        write_text(kept, json.dumps(made.stat))
    return module_counts(target.flow.technology, json.loads(kept.read_text(encoding="utf-8")))


def _of(modules: Mapping[str, Counts], name: str) -> Counts:
    """The counts of a module that Yosys may have named after its parameters."""
    (only,) = {counts for module, counts in modules.items() if module.rsplit("\\", 1)[-1] == name}
    return only


def fit(target: Target, measured: Sequence[tuple[str, Parameters, Counts]], measured_with: str) -> PartCosts:
    """Coefficients of every module's terms, none negative, for small relative errors."""
    family = Family(target.flow.technology, target.shift_register)
    samples: defaultdict[str, list[tuple[dict[str, float], Counts]]] = defaultdict(list)
    for module, parameters, counts in measured:
        samples[module].append((TERMS[module](parameters, family), counts))
    modules = {}
    for module, found in samples.items():
        names = sorted({name for terms, _ in found for name in terms})
        features = np.array([[terms.get(name, 0.0) for name in names] for terms, _ in found])
        best = {}
        for field in ("lut", "ff"):
            wanted = np.array([float(getattr(counts, field)) for _, counts in found])
            sizes = np.maximum(wanted, 10.0)
            values, _ = nnls(features / sizes[:, None], wanted / sizes)
            best[field] = {
                name: round(float(v), 4) for name, v in zip(names, values, strict=True) if v > 5e-5
            }
        modules[module] = Coefficients(**best)
    return PartCosts(target=target.name, measured_with=measured_with, modules=modules)


def characterize_engine(target: Target, folder: Path, out: Path, yosys: str = YOSYS) -> PartCosts:
    """Measure a target's engine parts anew and write them to ``out``.

    Raises:
        ToolError: Yosys failed.
        InputError: there is no Yosys, or engines share no multipliers on this target.
    """
    measured = [*measure_engines(target, folder, yosys), *measure_memories(target, folder, yosys)]
    costs = fit(target, measured, f"{versions_of(yosys)}, module by module")
    write_text(out, costs.model_dump_json(indent=1) + "\n")
    return costs
