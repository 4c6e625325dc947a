"""Images on their way in are cut into patches as the integer network cuts them: sim/engine/test_image.py."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import numpy as np

from hwnorm.integers.network import IMAGES, PIXELS
from hwnorm.integers.operations import IntegerPatches
from hwnorm.resources import resource
from hwnorm.verify.runner import Runner
from hwnorm.verify.toolchain import find_toolchain

TOP = "engine_image_bench"
#: TOKENS, DEPTH, PIXELS, CHANNELS, ROWS, COLUMNS, HEIGHT, WIDTH, FIRST: rows of a patch that are less than
#: a word, more, a part of several; one patch alone; tokens before the first patch that fill whole tiles.
GEOMETRIES = [
    (7, 8, 4, 1, 7, 7, 4, 4, 0),
    (1, 1, 1, 3, 1, 1, 1, 1, 0),
    (3, 4, 2, 2, 2, 3, 3, 6, 1),
    (2, 16, 8, 1, 2, 2, 2, 8, 5),
    (4, 2, 2, 3, 3, 2, 2, 14, 3),
    (5, 12, 2, 2, 2, 2, 3, 10, 7),
]
COUNT = 3


def geometries() -> list[tuple[int, ...]]:
    """Those, and others by chance."""
    rng, found = np.random.default_rng(0), list(GEOMETRIES)
    for _ in range(6):
        width, depth = int(rng.integers(1, 17)), int(rng.integers(1, 17))
        pixels = math.gcd(math.gcd(width, depth), 8)
        drawn = [int(rng.integers(1, most)) for most in (9, 4, 4, 4, 5)]
        tokens, channels, rows, columns, height = drawn
        found.append((tokens, depth, pixels, channels, rows, columns, height, width, int(rng.integers(0, 4))))
    return found


def words(codes: np.ndarray, geometry: tuple[int, ...]) -> list[list[int | None]]:
    """What an image's codes (C, H, W) are read as: bytes of each token of a tile, word by word."""
    tokens, depth, _, _, _, _, height, width, first = geometry
    (patches,) = IntegerPatches("patches", PIXELS, IMAGES, height, width)(codes[None])
    count, inputs = patches.shape
    tiles, each = -(-(first + count) // tokens), -(-inputs // depth)
    known = np.full((tiles * tokens, each * depth), -1000)
    known[first : first + count, :inputs] = patches & 255
    laid = known.reshape(tiles, tokens, each, depth).transpose(0, 2, 1, 3).reshape(tiles * each, -1)
    return [[None if code < 0 else code for code in word] for word in laid.tolist()]


def test_every_geometry(tmp_path):
    rng, parts = np.random.default_rng(1), []
    for geometry in geometries():
        _, _, pixels, channels, rows, columns, height, width, _ = geometry
        codes = rng.integers(-128, 128, size=(COUNT, channels, rows * height, columns * width))
        parts.append(
            {
                "pixels": pixels,
                "images": [(image + 128).astype(np.uint8).tobytes().hex() for image in codes],
                "words": [words(image, geometry) for image in codes],
            }
        )
    data = max(8 * tokens * depth for tokens, depth, *_ in geometries())
    (tmp_path / "plan.json").write_text(json.dumps({"data": data, "parts": parts}), encoding="utf-8")
    numbers = [number for geometry in geometries() for number in geometry]
    value = sum(number << (16 * i) for i, number in enumerate(numbers))
    parameters = {"COUNT": len(parts), "DATA": data, "GEOMETRIES": f"{16 * len(numbers)}'h{value:x}"}
    runner, sim, rtl = (
        Runner(find_toolchain(), jobs=1),
        resource("sim") / "engine",
        resource("rtl") / "engine",
    )
    sources = [sim / "engine_image.vlt", sim / f"{TOP}.v", rtl / "engine_image.v", rtl / "engine_memory.v"]
    runner.build_model(sources, TOP, tmp_path / "model", tmp_path / "build.log", parameters)
    log = runner.run_tests(["engine.test_image"], TOP, tmp_path / "model", tmp_path, seed=0)
    assert (tmp_path / "results.xml").exists(), log.read_text(encoding="utf-8")
    (case,) = ElementTree.parse(tmp_path / "results.xml").getroot().iter("testcase")
    faults = [fault for tag in ("failure", "error") for fault in case.iter(tag)]
    assert [ElementTree.tostring(fault, encoding="unicode") for fault in faults] == []
