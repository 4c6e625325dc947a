"""Names of layers and of modules: what is one, and that no two layers get the same module."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnorm.names import (
    APPENDED,
    MOST_TOP,
    RESERVED,
    SHARED,
    STAGE,
    is_identifier,
    kernel_name,
    layer_name,
    top_name,
    tops_of,
)
from hwnorm.resources import resource

#: Few letters, so that names are often alike; and anything that torch takes.
alike = st.lists(st.text("aA._-é", min_size=1, max_size=4), max_size=12, unique=True)
part = st.sampled_from(["norm", "core", "Norm", "s_axis_tdata", "axis", "tdata", "axis_pipe", "x"])
parts = st.lists(part, min_size=1, max_size=3)
networks = st.one_of(
    alike,
    st.lists(st.text(min_size=1, max_size=300), max_size=6, unique=True),
    st.lists(st.builds(str.join, st.sampled_from("._"), parts), max_size=8, unique=True),
)


def everything(top: str) -> set[str]:
    """What stands in generated code and in a folder for a module, as a reader that ignores case sees it."""
    return {name.lower() for name in (top, *(f"{top}_{part}" for part in APPENDED))}


@given(networks)
def test_layers_have_modules_of_different_legal_names(layers):
    """Different in all that is generated, by case too; whatever the layers' order."""
    tops = tops_of(layers)
    assert list(tops) == layers
    for top in tops.values():
        assert is_identifier(top)
        assert kernel_name(top) == top
        assert len(top) <= MOST_TOP
        assert top.lower() not in SHARED
    names = [name for top in tops.values() for name in everything(top)]
    assert len(names) == len(set(names))
    assert tops_of(layers[::-1]) == tops


@given(networks, st.integers(0, 12))
def test_a_layer_that_is_like_no_other_keeps_its_plain_name(layers, at):
    """A suffix goes to those that are alike, and to no other."""
    plain = {layer: "hwnorm_" + re.sub(r"[^A-Za-z0-9]", "_", layer) for layer in layers}
    for layer, top in tops_of(layers).items():
        others = set(SHARED).union(*(everything(plain[other]) for other in layers if other != layer))
        unlike = not everything(plain[layer]) & others
        if unlike and layer.isascii() and len(plain[layer]) <= MOST_TOP and top != plain[layer]:
            # A suffix that another layer had to get made the two alike.
            assert any(top_of != plain[other] for other, top_of in tops_of(layers).items() if other != layer)


def test_names_that_are_unambiguous_are_as_they_were():
    layers = [f"blocks.{i}.{name}" for i in range(12) for name in ("norm1", "attn.q_norm", "norm2")]
    layers += ["norm", "norm_pre", "fc-norm"]
    tops = tops_of(layers)
    assert tops["blocks.3.attn.q_norm"] == "hwnorm_blocks_3_attn_q_norm"
    assert tops["fc-norm"] == "hwnorm_fc_norm"
    assert [tops[layer] for layer in layers] == [
        "hwnorm_" + "".join(c if c.isalnum() else "_" for c in layer) for layer in layers
    ]


def test_names_that_would_be_alike_get_a_suffix_that_stays():
    """The digits are of the layer's own name: another layer beside it does not change them."""
    tops = tops_of(["a.b_c", "a_b.c", "d"])
    assert tops == {"a.b_c": "hwnorm_a_b_c_5b8f934a", "a_b.c": "hwnorm_a_b_c_a3715283", "d": "hwnorm_d"}
    assert tops_of(["a_b.c", "A.b.c", "a.b_c"])["a.b_c"] == tops["a.b_c"]
    assert tops_of(["axis.pipe"])["axis.pipe"].startswith("hwnorm_axis_pipe_")
    assert tops_of(["a", "a.core"])["a"] != "hwnorm_a"


@pytest.mark.parametrize(
    "text",
    ["../../victim", "a/b", "a\\b", "", ".", "..", ".hidden", "a\nb", "a\0", "a\u2028b", "n" * 201, 3, None],
)
def test_a_layers_name_is_no_path(text):
    with pytest.raises(ValueError, match=r"^layer .*: not a name"):
        layer_name(text)


@pytest.mark.parametrize("text", ["blocks.3.norm1", "norm", "a-b c", "größe.norm"])
def test_layers_names(text):
    assert layer_name(text) == text


@pytest.mark.parametrize(
    "text", ["../../victim", "a.b", "1st", "", "module", "hwnorm_axis", "é", "a\n", "a" * 101, 3, None]
)
def test_a_modules_name_is_an_identifier(text):
    with pytest.raises(ValueError, match=r"^top .*: not a name"):
        top_name(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a b", "letters, digits and _ alone"),
        ("n" * 130, "130 characters; at most 100 are possible"),
        ("config", "a word of Verilog or SystemVerilog"),
        ("global", "a word of Verilog or SystemVerilog"),
        ("endgenerate", "a word of Verilog or SystemVerilog"),
        ("co_await", r"a word of C\+\+"),
        ("main", r"the function that C\+\+ programs begin with"),
        ("errno", r"a name of C\+\+'s library"),
        ("hls", r"a name of C\+\+'s library"),
        ("size_t", r"a name of C\+\+'s library"),
        ("ap_fixed", r"a name of C\+\+'s library or of ap_fixed's headers"),
        ("NULL", "upper case alone"),
        ("LANES", "upper case alone"),
        ("TOP", "upper case alone"),
        ("x", "a signal of every stage"),
        ("m_axis_tdata", "a signal of every stage"),
        ("hwnorm", "hwnorm_axis is hwnorm's own"),
        ("hwnorm_axis", "hwnorm_axis is hwnorm's own"),
        ("hwnorm_Axis_pipe", "hwnorm_axis_pipe is hwnorm's own"),
        ("hwnorm_sweep", "hwnorm_sweep is hwnorm's own"),
    ],
)
def test_what_no_kernel_can_be_called_is_told_with_the_reason(text, why):
    with pytest.raises(ValueError, match=rf"^top .*: not a name .*\({why}"):
        kernel_name(text)


@pytest.mark.parametrize("text", ["tanh", "gelu_16", "exit", "Kernel", "hwnorm_blocks_0_norm_t", "code", "k"])
def test_other_names_are_taken(text):
    assert kernel_name(text) == text


def test_signals_of_every_stage_are_known():
    """A module that bears one of their names hides it, of which Verilator warns."""
    text = (resource("templates") / "verilog" / "stage.v.j2").read_text()
    declared = re.findall(r"\b(?:wire|reg|genvar)\b(?: signed)?(?: *\[[^\]]*\]| *\$\{[^}]*\})* *(\w+)", text)
    assert len(declared) > 10
    assert {name for name in declared if not name.startswith(("s_axis_", "m_axis_", "u_"))} <= STAGE


def test_what_generated_files_append_is_known():
    """Templates write ``${top}_word``: each word is listed, and so is each name of hwnorm's own."""
    folders = [path for path in resource("templates").iterdir() if path.name != "fuzz"]  # not of layers
    text = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.j2"))
    appended = set(re.findall(r"\$\{(?:k\.)?top\}_([A-Za-z]\w*)", text))
    assert appended - {"sweep"} <= set(APPENDED)  # that one has another name in front
    shipped = [
        *resource("rtl").glob("*.v"),
        *resource("sim").glob("*.v"),
        *resource("templates").rglob("*.h"),
    ]
    own = {name for path in shipped for name in re.findall(r"\bhwnorm_\w+", path.read_text())}
    assert {name for name in own if not name.isupper()} <= SHARED
    assert not any(word.startswith("hwnorm") for word in RESERVED)
