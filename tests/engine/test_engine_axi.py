"""Images through the engine's AXI interfaces, under cocotb: sim/engine/test_engine_axi.py says what."""

from __future__ import annotations

import json
from dataclasses import astuple
from xml.etree import ElementTree

import numpy as np
import pytest
from small_engines import images, program

from hwnorm.engine import emit
from hwnorm.engine.cycles import Timing, predict
from hwnorm.engine.memories import weight_stream
from hwnorm.engine.registers import description_file, read
from hwnorm.resources import resource
from hwnorm.verify.runner import Runner
from hwnorm.verify.toolchain import find_toolchain

TOP = "hwnorm_engine"


def counted(timing: Timing) -> list[int]:
    return list(timing.counters)


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, str]:
    """By the name of each test of sim/engine/test_engine_axi.py: what was wrong, empty if nothing."""
    folder, made = tmp_path_factory.mktemp("axi"), program("a8")
    for name, text in (emit.sources(made) | emit.memories(made)).items():
        (folder / name).write_text(text, encoding="utf-8")
    pixels, codes = images(4)
    weights = weight_stream(made)
    engine = made.engine
    beats = [
        1 + tile.words * engine.word_beats(tile.bits) + engine.row_beats(len(tile.rows))
        for tile in made.tiles
    ]
    assert sum(beats) == len(weights)
    alone, behind = predict(made, images=2)
    plan = {
        "seed": 0,
        "weights": weights.tobytes().hex(),
        "beats": len(weights),
        "heads": [0, *np.cumsum(beats)[:-1].tolist()],
        "pixels": emit.pixels_a_beat(made),
        "images": [(image + 128).astype(np.uint8).tobytes().hex() for image in codes],
        "logits": made.network.evaluate(pixels).tolist(),
        "alone": counted(alone),
        "behind": counted(behind),
        "array": list(astuple(engine)[:3]),
        "offsets": {register.name: register.offset for register in read(description_file()).registers},
    }
    assert len({tuple(logits) for logits in plan["logits"]}) == len(codes)
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    runner = Runner(find_toolchain(), jobs=1)
    bench = resource("sim") / "engine" / "engine.vlt"
    runner.build_model([bench, *sorted(folder.glob("*.v"))], TOP, folder / "model", folder / "build.log")
    log = runner.run_tests(["engine.test_engine_axi"], TOP, folder / "model", folder, seed=0)
    assert (folder / "results.xml").exists(), log.read_text(encoding="utf-8")
    found = ElementTree.parse(folder / "results.xml").getroot().iter("testcase")
    return {
        case.get("name", ""): "".join(
            ElementTree.tostring(f, encoding="unicode")
            for tag in ("failure", "error")
            for f in case.iter(tag)
        )
        for case in found
    }


@pytest.mark.parametrize(
    "name",
    [
        "counters_are_the_predicted_ones",
        "start_before_its_image",
        "one_start_is_remembered",
        "random_stalls",
        "few_weights",
        "logits_that_nobody_takes",
        "reset_at_any_time",
        "clear_at_any_time",
        "streams_that_are_wrong",
        "the_next_image_is_wrong",
        "clear_and_start_at_once",
    ],
)
def test_the_engine_keeps_its_contract(cases, name):
    assert cases[name] == ""


def test_all_cases_are_run(cases):
    """Each is a test of its own here."""
    ours = test_the_engine_keeps_its_contract.pytestmark[0].args[1]
    assert set(cases) == set(ours)
