"""The declarations of what a run folder holds: complete, in order, and what the documentation says."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
from pathlib import Path

import pytest
from schemas import OTHERS
from typer.main import get_command

import hwnorm.artefact
from hwnorm.artefact import Artefact, json_schema
from hwnorm.cli import app
from hwnorm.runs.products import PRODUCTS, REPORT, Product
from hwnorm.runs.settings import RunSettings
from hwnorm.stages.main import STAGES

ROOT = Path(__file__).parents[2]


def row(product: Product) -> str:
    """The line of a product in docs/architecture.md."""
    made_from = [source.name for source in product.reads] + [need.replace("_", " ") for need in product.needs]
    settings = ", ".join(f"`{name}`" for name in product.settings)
    place = f"`{product.place.replace('{layer}', 'LAYER')}`"
    return f"| {place} | {product.stage} | {', '.join(made_from)} | {settings} | {product.holds} |"


def test_the_documentation_tells_of_each():
    """The table of docs/architecture.md is that of the declarations."""
    lines = ["| file | stage | made from | settings | holds |", "|---|---|---|---|---|"]
    table = "\n".join([*lines, *map(row, PRODUCTS)])
    assert table in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), table


def test_what_is_read_is_declared_before():
    """In the order in which they are made, so there is no circle; each kind once."""
    seen: list[str] = []
    for product in PRODUCTS:
        assert {source.name for source in product.reads} <= set(seen)
        assert product.kind not in seen
        seen.append(product.kind)


def test_every_stage_makes_something_and_everything_has_a_stage():
    """A product's stage is a command; the main job's stages come in the order of what they make."""
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {product.stage for product in PRODUCTS} <= commands
    firsts = [PRODUCTS.index(stage.writes[0]) for stage in STAGES]
    assert firsts == sorted(firsts)
    assert STAGES[-1].writes == (REPORT,)
    assert {product.stage for product in PRODUCTS} - {stage.name for stage in STAGES} == {
        "share",
        "compare",
        "engine",
        "cosim",
    }


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.kind)
def test_settings_exist(product):
    settings = RunSettings()
    for name in product.settings:
        getattr(settings, name)
    assert (product.seal is None) == ("seal" not in product.model.model_fields)


def test_every_setting_decides_something():
    """Each field of the settings is in some artefact's ``made_from``, by itself or through what it names."""
    named = {name for product in PRODUCTS for name in product.settings}
    source = inspect.getsource(RunSettings)
    grouped = {
        constant.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name in named
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    # What is hashed by content: the model and its images, the target, and the functions of an earlier run.
    content = {
        "model_args",
        "weights",
        "data",
        "classes",
        "image_size",
        "images",
        "target",
        "cost_weights",
        "warm_start",
    }
    # Whether there is an artefact at all, and so which network is trained.
    assert RunSettings.model_fields.keys() - named - grouped - content == {"quantize"}


def test_one_network_is_trained():
    """Without hardware in the loop re-alignment's; with it the integers', or re-alignment's without those."""
    for in_loop, integers in itertools.product((False, True), repeat=2):
        s = RunSettings(finetune="D", hardware_in_loop=in_loop, quantize=integers)
        assert (s.finetuning is None, s.finetuning_integers is None) == (
            (True, False) if in_loop and integers else (False, True)
        )
    s = RunSettings(hardware_in_loop=True)
    assert s.finetuning is s.finetuning_integers is None
    for method in ("A", "features"):
        with pytest.raises(ValueError, match=f"--finetune {method}: .*give D or F, or --no-quantize"):
            RunSettings(finetune=method, hardware_in_loop=True)
        assert RunSettings(finetune=method, hardware_in_loop=True, quantize=False).finetuning is not None


def test_schemas_are_those_of_the_models():
    """hwnorm/schemas/KIND.json; ``python tools/schemas.py`` writes them."""
    models: list[type[Artefact]] = [*OTHERS, *(product.model for product in PRODUCTS)]
    folder = Path(hwnorm.artefact.__file__).parent / "schemas"
    for model in models:
        stored = json.loads((folder / f"{model.KIND}.json").read_text(encoding="utf-8"))
        assert stored == json.loads(json.dumps(json_schema(model))), model.KIND
