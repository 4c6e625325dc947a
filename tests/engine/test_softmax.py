"""The engine's softmax by itself is that of the integer network: sim/engine/test_softmax.py."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
from small_engines import SCORES, program

from hwnorm.engine import emit
from hwnorm.integers.operations import Exponentials
from hwnorm.resources import resource
from hwnorm.verify.runner import Runner
from hwnorm.verify.toolchain import find_toolchain

TOP, KEYS, DIGITS, TILES = "engine_softmax", 13, 23, 3


def tiles(tokens: int) -> list[np.ndarray]:
    """Scores (keys, tokens) of each: ends of the format, all alike, one key alone, and by chance."""
    rng, low, high = np.random.default_rng(0), SCORES.min_code, SCORES.max_code
    found = [np.full((KEYS, tokens), value) for value in (low, 0, high)]
    found += [rng.integers(low, high + 1, size=(1, tokens)), np.full((1, tokens), low)]
    for keys in (KEYS, 2, KEYS - 1, KEYS, 5):
        # Near one another, so that more than one counts.
        found.append(
            rng.integers(-300, 1, size=(keys, tokens)) + rng.integers(low + 300, high + 1, size=tokens)
        )
    found += [rng.integers(low, high + 1, size=(keys, tokens)) for keys in (1, 1, 1, 2, 3, KEYS)]
    far = np.full((KEYS, tokens), low)
    far[np.arange(tokens), np.arange(tokens)] = high
    return [*found, far]


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, str]:
    """By the name of each test of sim/engine/test_softmax.py: what was wrong, empty if nothing."""
    folder, made = tmp_path_factory.mktemp("softmax"), program("a8")
    for name, text in emit.core_sources(made).items():
        if name.startswith(("engine_softmax", "engine_exponential", "engine_memory")):
            (folder / name).write_text(text, encoding="utf-8")
    (p,) = (op for op in made.network.operations if isinstance(op, Exponentials))
    parts = []
    for scores in tiles(made.engine.tokens):
        # A row of the operation is a token.
        codes = p(scores.T)
        sums = codes.sum(1, dtype=np.int64)
        reciprocals = ((1 << DIGITS) + sums // 2) // sums
        parts.append(
            {"scores": scores.tolist(), "codes": codes.T.tolist(), "reciprocals": reciprocals.tolist()}
        )
    # The least and the greatest sum of a row.
    assert max(part["reciprocals"][0] for part in parts) == ((1 << DIGITS) + 63) // 127
    assert min(part["reciprocals"][0] for part in parts) == round((1 << DIGITS) / (127 * KEYS))
    known = emit.parameters(made)
    plan = {
        "seed": 0,
        "parts": parts,
        "tokens": known["TOKENS"],
        "depth": known["DEPTH"],
        "bits": known["A_BITS"],
        "tiles": TILES,
    }
    (folder / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    sizes = {name: known[name] for name in ("TOKENS", "DEPTH", "SCORE", "A_BITS")}
    sizes |= {"LATENCY": known["E_LATENCY"], "KEYS": KEYS, "DIGITS": DIGITS, "TILES": TILES}
    runner = Runner(find_toolchain(), jobs=1)
    sources = [resource("sim") / "engine" / "softmax.vlt", *sorted(folder.glob("*.v"))]
    runner.build_model(sources, TOP, folder / "model", folder / "build.log", sizes)
    log = runner.run_tests(["engine.test_softmax"], TOP, folder / "model", folder, seed=0)
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


@pytest.mark.parametrize("name", ["tiles_as_fast_as_there_is_room", "tiles_with_gaps"])
def test_softmax(cases, name):
    assert cases[name] == ""
