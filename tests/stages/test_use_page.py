"""docs/use.md's Python, run in small."""

from __future__ import annotations

from pages import ROOT, blocks

from hwnorm.network.models import load_model
from hwnorm.stages.main import Finished


def test_the_pages_lines_run(few_images, monkeypatch, tmp_path, capsys):
    """In small: narrower formats, the built-in model, few images and individuals."""
    page = (ROOT / "docs" / "use.md").read_text(encoding="utf-8")
    lines = "\n".join(block.text for block in blocks(page) if block.language == "python")
    small = {
        '"s16f11"': '"s8f5"',
        'model="vit_tiny_patch16_224", weights="tiny.safetensors", data="images/"': "**few",
    }
    for old, new in small.items():
        assert lines.count(old) == 1
        lines = lines.replace(old, new)
    monkeypatch.chdir(tmp_path)
    few = {"data": few_images, "images": 40, "population": 8, "generations": 1, "input_bits": 8}
    names = {"model": load_model("builtin", None), "few": few | {"only": "blocks.1.*"}}
    exec(lines, names)
    kernel, found = names["kernel"], names["found"]
    assert kernel.passed
    assert (tmp_path / "tanh_kernel" / "manifest.json").is_file()
    assert isinstance(found, Finished)
    assert found.passed
    assert (tmp_path / "runs" / "mine" / "report.html") == found.report.absolute()
    assert [chosen.layer for chosen in found.choice.layers] == ["blocks.1.norm1", "blocks.1.norm2"]
    assert set(found.accuracies) >= {"layernorm", "realigned", "bit_true"}
    assert all(0 <= percent <= 100 for percent in found.accuracies.values())
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        f"True {kernel.resources.lut} {kernel.datapath.certificate.max_error_ulp}",
        f"True {found.accuracies['bit_true']} {[c.expression for c in found.choice.layers]}",
    ]
