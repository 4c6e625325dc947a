"""The stages of the main job: integers are left out where they are not asked for or cannot be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import hwnorm.stages.main as main
from hwnorm.errors import InputError
from hwnorm.graph.read import NotCovered
from hwnorm.runs.settings import RunSettings

(QUANTIZE,) = (stage for stage in main.STAGES if stage.name == "quantize")


def perform(monkeypatch: pytest.MonkeyPatch, quantize: bool, fault: Exception | None) -> int:
    """How often integers were tried."""
    tried = []

    def tries(run, inputs):
        tried.append(inputs)
        if fault is not None:
            raise fault

    monkeypatch.setattr(main, "quantize", tries)
    QUANTIZE.perform(SimpleNamespace(settings=RunSettings(quantize=quantize)), SimpleNamespace(inputs=None))
    return len(tried)


def test_integers_are_part_of_the_main_job(monkeypatch):
    assert perform(monkeypatch, True, None) == 1
    assert perform(monkeypatch, False, None) == 0


def test_a_network_without_a_graph_goes_on_without_integers(monkeypatch, capsys):
    assert perform(monkeypatch, True, NotCovered("model: is a Swin; a graph covers vit")) == 1
    assert "quantize: left out; model: is a Swin; a graph covers vit" in capsys.readouterr().err


def test_any_other_fault_ends_it(monkeypatch):
    with pytest.raises(InputError, match="--row-step"):
        perform(monkeypatch, True, InputError("option --row-step: too large"))
