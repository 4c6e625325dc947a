"""A straight line folds into what reads it: recognized, exact, and nothing is left."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hwnorm.emit.folded import emit_folded
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.network.fold import line_of
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import replace_norms
from hwnorm.verify.packages import verify_packages


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x", (1.0, 0.0)),
        ("0.5*x + 0.25", (0.5, 0.25)),
        ("1 - 2*(x - 3)", (-2.0, 7.0)),
        ("-x", (-1.0, 0.0)),
        ("clip(x, 1)", None),
        ("x*x", None),
        ("tanh(x) + x", None),
    ],
)
def test_lines_are_recognized(text, line):
    """Gain and offset of what is affine; None for anything else, a clip that hardly clips included."""
    assert line_of(parse(text)) == line


def test_folding_changes_no_output(small_vit):
    """The network with the line in place, and the one it folded into: the same logits, no module left."""
    teacher = small_vit()
    line = parse("0.75*x - 0.5").to_module()
    names = [site.name for site in find_norms(teacher)]
    # Behind a Sequential it is no expression, so that it stays.
    kept = replace_norms(teacher, {name: nn.Sequential(line) for name in names})
    folded = replace_norms(teacher, dict.fromkeys(names, line))
    assert all(isinstance(folded.get_submodule(name), nn.Identity) for name in names)
    pixels = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(folded(pixels), kept(pixels), rtol=1e-4, atol=1e-4)


def test_the_manifest_says_that_it_folds(tmp_path):
    """Gain and offset stand in it, older files are gone, and there is nothing to verify."""
    folder = tmp_path / "top"
    (folder / "rtl").mkdir(parents=True)
    (folder / "rtl" / "top.v").write_text("module top; endmodule")
    emit_folded("0.75*x - 0.5", "top", folder)
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]
    with pytest.raises(InputError, match="folds into the next linear layers; there is no kernel"):
        verify_packages([folder])
