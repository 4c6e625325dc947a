"""Weights as training and hubs leave them: what is taken is told, what is no weights is called what it is."""

from __future__ import annotations

import argparse
import os
import pickle

import pytest
import torch

from hwnorm.builtin import model as builtin
from hwnorm.errors import InputError
from hwnorm.network import checkpoints
from hwnorm.network.checkpoints import read_checkpoint, reason_of
from hwnorm.network.models import load_model, model_arguments
from hwnorm.timm_compat import import_timm

#: A LeViT whose layers are few and narrow.
LEVIT = {"img_size": 64, "embed_dim": (16, 24, 32), "key_dim": 8, "num_heads": (2, 3, 4), "depth": (1, 1, 1)}


@pytest.fixture
def state():
    return dict(builtin.build().state_dict())


def called(path: str) -> int:
    """What a pickle may ask to be called; a file says that it was."""
    open(path, "w").close()
    return 1


class Recorder:
    """Of a class of somebody's own; unpickling it calls something."""

    def __reduce__(self):
        return called, (os.environ["MADE_BY_UNPICKLING"],)


def test_what_timms_training_writes_is_read(tmp_path, state, capsys):
    """With its arguments beside the tensors, and with the moving average, which timm takes."""
    ema = {name: value + 1 for name, value in state.items()}
    args = argparse.Namespace(lr=0.1, opt="adamw", nested=argparse.Namespace(a=[1, 2]))
    told = {
        "epoch": 3,
        "arch": "vit",
        "state_dict": state,
        "state_dict_ema": ema,
        "args": args,
        "metric": 8.5,
    }
    torch.save(told, tmp_path / "model_best.pth.tar")
    model = load_model("builtin", tmp_path / "model_best.pth.tar")
    assert torch.equal(model.head.weight, ema["head.weight"])
    assert "state_dict_ema (the moving average, as timm takes it), not state_dict" in capsys.readouterr().err


def test_nothing_is_unpickled_that_was_not_asked_for(tmp_path, state, monkeypatch):
    """Objects of other classes stay inert: what they would call is not."""
    monkeypatch.setenv("MADE_BY_UNPICKLING", str(tmp_path / "made"))
    others = {
        "callback": Recorder(),
        "optimizer": {"state": [torch.zeros(2)]},
        "when": argparse.Namespace(x=1),
    }
    torch.save({"state_dict": state} | others, tmp_path / "w.ckpt")
    assert read_checkpoint(tmp_path / "w.ckpt").tensors.keys() == state.keys()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module."]
)
@pytest.mark.parametrize("suffix", ["pt", "bin", "ckpt"])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, state, prefix, suffix, capsys):
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / f"w.{suffix}")
    model = load_model("builtin", tmp_path / f"w.{suffix}")
    assert torch.equal(model.head.weight, state["head.weight"])
    assert f"names without {prefix}" in capsys.readouterr().err


def test_several_networks_are_asked_about(tmp_path, state):
    torch.save({"student": state, "teacher": state}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds state dicts student, teacher; store the one that is meant"):
        load_model("builtin", tmp_path / "w.pth")
    torch.save({"student": state, "epoch": 4}, tmp_path / "w.pth")
    load_model("builtin", tmp_path / "w.pth")


@pytest.mark.parametrize("classes", [1000, 7])
@pytest.mark.parametrize(
    ("name", "arguments", "heads"),
    [
        ("deit_tiny_distilled_patch16_224", {"img_size": 32, "depth": 1}, ("head", "head_dist")),
        ("levit_128s", LEVIT, ("head.linear", "head_dist.linear")),
    ],
)
def test_a_classifier_with_two_heads(tmp_path, classes, name, arguments, heads):
    """Distilled networks: both heads have as many classes as the file."""
    model = import_timm().create_model(name, num_classes=classes, **arguments)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    loaded = load_model(name, tmp_path / "w.pth", **arguments)
    assert [len(loaded.get_submodule(head).weight) for head in heads] == [classes] * 2


def test_a_publishers_own_names_go_through_timms_filter(tmp_path):
    """Swin's checkpoints name a downsampling otherwise than timm does now."""
    arguments = {"img_size": 64, "window_size": 2, "embed_dim": 16, "depths": (1, 1), "num_heads": (1, 1)}
    model = import_timm().create_model("swin_tiny_patch4_window7_224", num_classes=5, **arguments)
    published = {
        name.replace("layers.1.downsample", "layers.0.downsample").replace("head.fc.", "head."): value
        for name, value in model.state_dict().items()
    }
    assert published.keys() != model.state_dict().keys()
    torch.save({"model": published}, tmp_path / "w.pth")
    loaded = load_model("swin_tiny_patch4_window7_224", tmp_path / "w.pth", num_classes=5, **arguments)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64])
def test_codes_are_no_weights(tmp_path, state, dtype):
    """A quantized network's codes would load as numbers of their own."""
    state["pos_embed"] = state["pos_embed"].to(dtype)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w\.pth: 'pos_embed' holds \w+; floating-point numbers are needed"):
        load_model("builtin", tmp_path / "w.pth")


def test_a_whole_module_is_no_state_dict(tmp_path):
    """Nothing of it is run; the line says what to store."""
    torch.save(builtin.build(), tmp_path / "w.pth")
    with pytest.raises(
        InputError, match=r"w\.pth: holds a pickled object, such as a whole module; store its"
    ):
        load_model("builtin", tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "pointer of Git LFS"),
        (b"<!DOCTYPE html>\n<html><body>404", "an HTML page"),
        (b"", "empty"),
    ],
)
def test_what_is_no_weights_is_called_what_it_is(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}: cannot be read as weights: it is .*{what}"):
        load_model("builtin", tmp_path / name)


def test_reasons_are_one_line_without_codes():
    """As torch says them: the reason stands in the middle, between codes for a terminal."""
    said = (
        "Weights only load failed. \x1b[1mDo those steps\x1b[0m.\n\t(1) ...\n"
        "WeightsUnpickler error: Unsupported global: GLOBAL a.B was not an allowed global.\n\nCheck"
    )
    why = reason_of(pickle.UnpicklingError(said))
    assert why == "Unsupported global: GLOBAL a.B was not an allowed global."
    assert reason_of(RuntimeError("\x1b[31mfailed\x1b[0m\nmore")) == "failed"
    assert reason_of(KeyError()) == "KeyError"


def test_arguments_of_a_model():
    text = "patch_size=4,in_chans=1, img_size=(96, 64),global_pool=avg,class_token=false"
    assert model_arguments(text) == {
        "patch_size": 4,
        "in_chans": 1,
        "img_size": (96, 64),
        "global_pool": "avg",
        "class_token": False,
    }
    assert model_arguments("") == {}
    for wrong, why in (
        ("patch_size", "'patch_size'; NAME=VALUE"),
        ("a=1,a=2", "a is given twice"),
        ("=3", "'=3'"),
    ):
        with pytest.raises(InputError, match=f"option --model-args: {why}"):
            model_arguments(wrong)
    with pytest.raises(InputError, match="option --model-args: depth: the built-in model takes none"):
        load_model("builtin", None, depth=2)


def test_names_of_a_hub_are_asked_for_there(monkeypatch):
    """timm looks into its cache; without network and without it, one line says so."""
    asked = []

    def create(name, **arguments):
        asked.append(name)
        raise ConnectionError("\x1b[1moffline\x1b[0m")

    monkeypatch.setattr(import_timm(), "create_model", create)
    for name in ("hf-hub:timm/test_vit.r160_in1k", "timm/test_vit.r160_in1k", "timm/test_vit"):
        with pytest.raises(InputError, match=rf"model '{name}': .* \(no network here\); give a file"):
            load_model(name, None)
    assert asked == ["hf-hub:timm/test_vit.r160_in1k", "timm/test_vit.r160_in1k", "timm/test_vit"]
    with pytest.raises(InputError, match="model 'timm/vit_tini': neither builtin nor a model of timm"):
        load_model("timm/vit_tini", None)


def test_inert_objects_take_anything():
    inert = checkpoints._Inert(1, a=2)
    inert.__setstate__({"x": 1})
    inert.append(3)
    assert vars(inert) == {}
