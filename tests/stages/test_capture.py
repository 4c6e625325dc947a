"""Capture refuses what later stages could not name, and says what is hard to believe."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import pytest
from torch import nn

from hwnorm.errors import InputError
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.settings import RunSettings
from hwnorm.stages.capture import capture


def test_a_layer_that_cannot_be_a_file_is_refused(small_vit, tmp_path):
    """PyTorch takes a slash in a module's name: the message has it, and nothing is written."""
    model = small_vit()
    model.blocks = nn.Sequential(OrderedDict(zip(["a/c", "b"], model.blocks, strict=True)))
    run = RunFolder.create(tmp_path / "r", RunSettings(), force=False)
    with pytest.raises(InputError, match=r"model 'builtin': layer 'blocks\.a/c\.norm1': not a name"):
        capture(run, SimpleNamespace(model=model, digest=lambda need: need))
    assert not run.path.exists()


def test_an_original_that_only_guesses_is_told_of_loudly(small_vit, tmp_path, capsys):
    """Before the search, which takes hours; a network of features is measured by no labels."""
    settings = RunSettings(images=60)
    for classes, warned in ((10, True), (0, False)):
        run = RunFolder.create(tmp_path / str(classes), settings, force=False)
        capture(run, Inputs(settings, small_vit(num_classes=classes)))
        said = capsys.readouterr().err
        assert ("WARNING: the original network is right on" in said) is warned
        assert "labels" in said or not warned
