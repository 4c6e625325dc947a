"""timm is imported as usual, and with torchvision's operators declared only where that fails."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch

from hwnorm import timm_compat


def failing_import(monkeypatch, failures: list[Exception]) -> list[str]:
    """Let ``import timm`` raise ``failures`` in turn, then succeed; return what was imported."""
    imported: list[str] = []

    def load(name: str) -> ModuleType:
        imported.append(name)
        if failures:
            raise failures.pop(0)
        return ModuleType(name)

    monkeypatch.setattr(importlib, "import_module", load)
    return imported


def test_a_sound_installation_is_not_touched(monkeypatch):
    """Where timm imports, nothing is declared."""
    monkeypatch.setattr(timm_compat, "_declare_torchvision_operators", lambda: pytest.fail("declared"))
    assert failing_import(monkeypatch, []) == []
    assert timm_compat.import_timm().__name__ == "timm"


@pytest.mark.parametrize("error", [ImportError("no timm"), RuntimeError("another reason")])
def test_other_failures_are_passed_on(monkeypatch, error):
    """Only the one known failure is cured."""
    monkeypatch.setattr(timm_compat, "_declare_torchvision_operators", lambda: pytest.fail("declared"))
    failing_import(monkeypatch, [error])
    with pytest.raises(type(error), match=str(error)):
        timm_compat.import_timm()


def test_missing_operators_are_declared_and_the_import_is_repeated(monkeypatch, tmp_path):
    """What torchvision registers shapes for is declared; its half-imported modules are forgotten."""
    source = '@register_meta("hwnorm_one")\n@torch.library.register_fake("torchvision::hwnorm_two")\n'
    (tmp_path / "_meta_registrations.py").write_text(source)
    spec = ModuleSpec("torchvision", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    for name in [n for n in sys.modules if n.split(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision.half", ModuleType("torchvision.half"))
    imported = failing_import(monkeypatch, [RuntimeError("operator torchvision::nms does not exist")])
    assert timm_compat.import_timm().__name__ == "timm"
    assert imported == ["timm", "timm"]
    assert "torchvision.half" not in sys.modules
    assert hasattr(torch.ops.torchvision, "hwnorm_one")
    assert hasattr(torch.ops.torchvision, "hwnorm_two")
