"""Whatever is wrong with what the user gave: exit code 2, one line that names it, nothing written or lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from hwnorm.builtin import model as builtin
from hwnorm.cli import app
from hwnorm.files import write_artefact
from hwnorm.network.models import load_model
from hwnorm.timm_compat import import_timm

COMPILE = ["compile", "tanh(x)", "--input", "s8f5", "--output", "s8f5"]


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with what the files hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def refusal(folder: Path, *args: str | Path) -> list[str]:
    """Run a command that must refuse and leave ``folder`` as it is; the lines of its message."""
    before = contents(folder)
    result = CliRunner().invoke(app, list(map(str, args)))
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert contents(folder) == before
    assert not result.stdout
    # What had been running draws its bar to standard error before.
    lines = [line for line in result.stderr.splitlines() if " left " not in line]
    assert lines[0].startswith("hwnorm: ")
    return lines


def one_line(folder: Path, *args: str | Path) -> str:
    """The message of a command that must refuse in one line."""
    lines = refusal(folder, *args)
    assert len(lines) == 1, lines
    return lines[0]


def weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """The built-in model's weights, changed."""
    state = {name: value.clone() for name, value in load_model("builtin", None).state_dict().items()}
    change(state)
    save_file(state, folder / "w.safetensors")
    return folder / "w.safetensors"


def test_unknown_model_is_named_with_the_closest(tmp_path):
    """The name that timm does not know, and one that it does."""
    line = one_line(tmp_path, "run", "--out", tmp_path / "r", "--model", "vit_tiny_patch61_224")
    assert "vit_tiny_patch61_224" in line
    assert "vit_tiny_patch16_224" in line


def test_weights_that_do_not_fit_name_the_first_key(tmp_path):
    """Of the keys that are missing, the model's first is named, with its shape."""

    def lose(state: dict[str, torch.Tensor]) -> None:
        del state["blocks.1.norm1.weight"], state["blocks.3.norm1.weight"]

    path = weights(tmp_path, lose)
    line = one_line(tmp_path, "run", "--out", tmp_path / "r", "--weights", path)
    assert str(path) in line
    assert "'blocks.1.norm1.weight'" in line
    assert "(96,)" in line


def test_nan_weights_name_the_layer(tmp_path):
    """NaN in one element of one norm: the file and the parameter are named."""
    path = weights(tmp_path, lambda state: state["blocks.2.norm2.bias"][3].fill_(torch.nan))
    line = one_line(tmp_path, "run", "--out", tmp_path / "r", "--weights", path)
    assert str(path) in line
    assert "'blocks.2.norm2.bias'" in line


def test_activations_that_overflow_name_the_layer(tmp_path):
    """Finite weights whose products are not: the first norm that meets infinity is named."""
    path = weights(tmp_path, lambda state: state["patch_embed.proj.weight"].fill_(3e38))
    line = one_line(tmp_path, "run", "--out", tmp_path / "r", "--weights", path, "--images", "4")
    assert "'blocks.0.norm1'" in line
    assert "NaN or infinity" in line


def test_bad_input_spares_the_run_that_force_would_replace(tmp_path):
    """--force with bad weights: the earlier run is still whole."""
    folder = tmp_path / "r"
    write_artefact(folder / "run.json", "run", 0, {}, {"settings": {"seed": 3}})
    write_artefact(folder / "choice.json", "choice", 0, {}, {"layers": []})
    (tmp_path / "w.pth").write_bytes(b"no weights")
    for command in (["run", "--out"], ["capture"]):
        line = one_line(tmp_path, *command, folder, "--weights", tmp_path / "w.pth", "--force")
        assert str(tmp_path / "w.pth") in line


def test_empty_data_folder(tmp_path):
    """An empty folder is named, and what should be in it."""
    data = tmp_path / "data"
    data.mkdir()
    line = one_line(tmp_path, "run", "--out", tmp_path / "r", "--data", data)
    assert f"{data}: is empty" in line
    assert "idx files or one folder a class" in line


@pytest.mark.parametrize("command", [["run", "--out"], ["capture"]])
def test_unreadable_data(tmp_path, command):
    """A file for a folder, a folder that is not there, a damaged idx file, a damaged image."""
    file = tmp_path / "images.txt"
    file.write_text("x")
    assert str(file) in one_line(tmp_path, *command, tmp_path / "r", "--data", file)
    assert "nowhere" in one_line(tmp_path, *command, tmp_path / "r", "--data", tmp_path / "nowhere")
    idx = tmp_path / "idx"
    idx.mkdir()
    (idx / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08")
    line = one_line(tmp_path, *command, tmp_path / "r", "--data", idx)
    assert str(idx / "train-images-idx3-ubyte") in line
    for label in range(10):
        tree = tmp_path / "tree" / f"cat{label}"
        tree.mkdir(parents=True)
        (tree / "1.png").write_bytes(b"\x89PNG but no more")
        (tree / "2.png").write_bytes(b"\x89PNG but no more")
    line = one_line(tmp_path, *command, tmp_path / "r", "--data", tmp_path / "tree")
    assert str(tmp_path / "tree" / "cat") in line


def test_a_size_that_the_data_config_tells_wrongly(tmp_path):
    """A LeViT of other images than timm says: the option that tells the size. It has two heads, no norm."""
    few = {"embed_dim": (16, 24, 32), "key_dim": 8, "num_heads": (2, 3, 4), "depth": (1, 1, 1)}
    levit = import_timm().create_model("levit_128s", num_classes=2, img_size=64, **few)
    save_file(levit.state_dict(), tmp_path / "w.safetensors")
    for name in "ab":
        for split in ("train", "val"):
            (tmp_path / "d" / split / name).mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(tmp_path / "d" / split / name / "1.png")
    arguments = ",".join(f"{name}={value}".replace(" ", "") for name, value in few.items())
    command = ["run", "--out", tmp_path / "r", "--model", "levit_128s", "--data", tmp_path / "d"]
    command += ["--weights", tmp_path / "w.safetensors", "--model-args", f"img_size=64,{arguments}"]
    line = one_line(tmp_path, *command)
    assert "'levit_128s': LevitDistilled: cannot take images of 3x224x224" in line
    assert "--image-size" in line
    line = one_line(tmp_path, *command, "--image-size", "64")
    assert "has no LayerNorm or RMSNorm over its channels" in line


def test_model_without_norms(tmp_path):
    """A network of convolutions and BatchNorm: there is nothing to replace."""
    net = import_timm().create_model("test_resnet", pretrained=False)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    for split in ("train", "test"):
        (tmp_path / "data" / split / "a").mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(tmp_path / "data" / split / "a" / "1.png")
    (tmp_path / "names.txt").write_text("a")
    options = ["--model", "test_resnet", "--weights", tmp_path / "w.safetensors", "--data", tmp_path / "data"]
    line = one_line(tmp_path, "run", "--out", tmp_path / "r", *options, "--classes", tmp_path / "names.txt")
    assert "'test_resnet'" in line
    assert "no LayerNorm" in line


@pytest.mark.parametrize(
    ("expression", "wrong", "words"),
    [
        ("2*sinc(x) + 1", "sinc(x)", "unknown operator 'sinc'; there are abs, add"),
        ("2*tanh(x", "(x", "'(' was never closed"),
        ("x + )", ")", "unmatched ')'"),
        ("x + y", "y", "unknown name 'y'; the variable is x"),
        ("clip(x, x)", "clip", "argument 2 of clip must be a number"),
        ("x ** 2", "x ** 2", "not known"),
        ("x / 0", "0", "division by 0; it must not be zero"),
    ],
)
def test_bad_expression_has_a_caret(tmp_path, expression, wrong, words):
    """Three lines: what is wrong, the expression, and a caret under the place."""
    formats = ["--input", "s8f5", "--output", "s8f5", "--out", tmp_path / "k"]
    first, text, caret = refusal(tmp_path, "compile", expression, *formats)
    assert words in first
    assert text == f"  {expression}"
    assert caret == " " * (2 + expression.index(wrong)) + "^"


def test_a_domain_that_is_left_is_one_line(tmp_path):
    """The operator, what its argument may be, and what it must be; nothing is written."""
    formats = ["--input", "s8f5", "--output", "s8f5", "--out", tmp_path / "k"]
    (line,) = refusal(tmp_path, "compile", "x/x", *formats)
    assert "reciprocal's argument runs from -4 to 3.96875; it must not hold zero" in line


@pytest.mark.parametrize(
    ("given", "words"),
    [("s16f99", "99 fractional bits"), ("x8", "not of the form s16f11"), ("s1f0", "1 bits")],
)
@pytest.mark.parametrize("option", ["--input", "--output"])
def test_bad_format(tmp_path, given, words, option):
    """The text that was given, and what would be right, for either option."""
    formats = {"--input": "s8f5", "--output": "s8f5"} | {option: given}
    options = [text for pair in formats.items() for text in pair]
    line = one_line(tmp_path, "compile", "tanh(x)", *options, "--out", tmp_path / "k")
    assert repr(given) in line
    assert words in line


@pytest.mark.parametrize("command", ["run", "search", "choose", "realign", "emit", "verify", "report"])
def test_run_folder_of_another_version(tmp_path, command):
    """Every stage names run.json, the version that wrote it and this one."""
    run = tmp_path / "r"
    write_artefact(run / "run.json", "run", 0, {}, {"settings": {}})
    data = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(data | {"schema": 99, "hwnorm_version": "9.9"}))
    line = one_line(tmp_path, command, *(["--out"] if command == "run" else []), run)
    assert str(run / "run.json") in line
    assert "schema 99 by hwnorm 9.9" in line


@pytest.mark.parametrize("missing", [("g++",), ("make",), ("g++", "make")])
@pytest.mark.parametrize("command", [["run", "--out"], [*COMPILE, "--out"]])
def test_missing_compiler_or_make(tmp_path, monkeypatch, command, missing):
    """The tools that are missing and the command that installs them, before anything is written."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in {"g++", "make"} - set(missing):
        (path / tool).write_text("#!/bin/sh\n")
        (path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(path))
    line = one_line(tmp_path, *command, tmp_path / "out")
    assert f"{' and '.join(missing)} not found" in line
    assert "apt-get install g++ make" in line


@pytest.mark.parametrize("command", [["run", "--out"], ["capture"], [*COMPILE, "--out"]])
def test_folder_in_use(tmp_path, command):
    """A folder that holds something else is named, and stays as it is."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    line = one_line(tmp_path, *command, tmp_path / "out")
    assert str(tmp_path / "out") in line
    assert "not empty" in line
    assert "--force" in line


@pytest.mark.parametrize("command", [["run", "--out"], ["capture"], [*COMPILE, "--out"]])
def test_file_where_a_folder_should_be(tmp_path, command):
    """--out names a file, or a place below one: told, not overwritten."""
    (tmp_path / "out").write_text("mine")
    assert str(tmp_path / "out") in one_line(tmp_path, *command, tmp_path / "out")
    below = [*command, tmp_path / "out" / "k", *(["--images", "4"] if "compile" not in command else [])]
    line = one_line(tmp_path, *below)
    assert str(tmp_path / "out") in line
    assert "File exists" not in line


@pytest.mark.parametrize("command", [["run", "--out"], [*COMPILE, "--out"]])
def test_unknown_target(tmp_path, command):
    """The name that was given, and the targets that there are."""
    line = one_line(tmp_path, *command, tmp_path / "out", "--target", "asic7")
    assert "'asic7'" in line
    assert "xcup" in line


@pytest.mark.parametrize("clock", ["0", "-5", "nan", "inf"])
@pytest.mark.parametrize("command", [["run", "--out"], [*COMPILE, "--out"]])
def test_clock_that_is_none(tmp_path, command, clock):
    """The option as it is written on the command line."""
    assert "--clock" in one_line(tmp_path, *command, tmp_path / "out", "--clock", clock)


@pytest.mark.parametrize("command", [["run", "--out"], [*COMPILE, "--out"]])
def test_more_lanes_than_a_beat_has_bits(tmp_path, command):
    """ap_int's numbers end at 1024 bits: told before anything is searched, lowered or built."""
    most = 128 if "compile" in command else 64  # elements of 8 bits, and of 16
    line = one_line(tmp_path, *command, tmp_path / "out", "--lanes", most + 1)
    assert f"option --lanes: {most + 1} elements of {1024 // most} bits" in line
    assert line.endswith(f"at most 1024 are possible, {most} lanes")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("# nothing\n\n", "expression: is empty"),
        ("tanh(x)\n2*x", "expression: invalid syntax\n  tanh(x) 2*x"),
    ],
)
def test_a_file_of_no_expression_is_named(tmp_path, text, what):
    (tmp_path / "f.txt").write_text(text)
    formats = COMPILE[2:]
    lines = refusal(tmp_path, "compile", "--from", tmp_path / "f.txt", *formats, "--out", tmp_path / "k")
    assert "\n".join(lines).startswith(f"hwnorm: option --from: {tmp_path / 'f.txt'}: {what}")


def test_clock_beyond_the_target(tmp_path):
    """A clock that no register keeps up with."""
    assert "100000 MHz" in one_line(tmp_path, *COMPILE, "--out", tmp_path / "k", "--clock", "100000")


def test_verify_of_a_folder_that_is_neither(tmp_path):
    """Neither a package nor a run folder: both are named."""
    line = one_line(tmp_path, "verify", tmp_path)
    assert str(tmp_path) in line
    assert "manifest.json" in line
    assert "run.json" in line


@pytest.mark.parametrize("command", ["search", "choose", "realign", "emit", "verify"])
def test_stage_before_its_time(tmp_path, command):
    """A stage whose inputs are not there names the file or folder that it misses."""
    write_artefact(tmp_path / "run.json", "run", 0, {}, {"settings": {}})
    assert str(tmp_path) in one_line(tmp_path, command, tmp_path)


def test_shipped_images_do_not_suit_every_model(tmp_path):
    """A model of colour images without --data is asked for some."""
    net = import_timm().create_model("test_vit", pretrained=False)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    options = ["--model", "test_vit", "--weights", tmp_path / "w.safetensors"]
    assert "--data" in one_line(tmp_path, "run", "--out", tmp_path / "r", *options)
    assert builtin.IMAGES.is_file()
