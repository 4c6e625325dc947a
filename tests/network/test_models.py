"""Models open by name with weights that fit; everything that does not fit is named."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from hwnorm.builtin import model as builtin
from hwnorm.data.config import input_config
from hwnorm.errors import InputError
from hwnorm.network.models import load_model
from hwnorm.timm_compat import import_timm


@pytest.fixture
def state():
    return {name: value.half() for name, value in builtin.build().state_dict().items()}


def test_builtin_loads_half_precision_into_float32_evaluation_mode(tmp_path, state):
    save_file(state, tmp_path / "w.safetensors")
    model = load_model("builtin", tmp_path / "w.safetensors")
    assert not model.training
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[name].float())


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"model": s, "epoch": 3}]
)
def test_pth_files_load_bare_or_wrapped(tmp_path, state, wrap):
    torch.save(wrap(state), tmp_path / "w.pth")
    model = load_model("builtin", tmp_path / "w.pth")
    assert torch.equal(model.head.weight, state["head.weight"].float())


def test_timm_names_take_keyword_arguments(tmp_path):
    model = import_timm().create_model("test_vit", img_size=32, num_classes=0)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model("test_vit", tmp_path / "w.safetensors", img_size=32, num_classes=0)
    assert torch.equal(loaded.norm.weight, model.norm.weight)


def test_unknown_name_is_told_the_closest():
    with pytest.raises(InputError, match=r"'vit_tiny_patch61_224'.*vit_tiny_patch16_224"):
        load_model("vit_tiny_patch61_224", None)


def test_weights_that_cannot_be_had_ask_for_a_file(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(import_timm(), "create_model", offline)
    with pytest.raises(InputError, match=r"no route to host.*--weights"):
        load_model("test_vit", None)


def test_no_network_and_no_such_weights_are_told_apart(monkeypatch):
    def unreachable(*args, **kwargs):
        try:
            raise ConnectionError("[Errno -2] Name or service not known")
        except ConnectionError as error:
            raise FileNotFoundError("cannot find the requested files in the local cache") from error

    monkeypatch.setattr(import_timm(), "create_model", unreachable)
    with pytest.raises(InputError, match=r"weights cannot be had \(no network here\); give .*--weights"):
        load_model("test_vit", None)

    def unpublished(*args, **kwargs):
        raise RuntimeError("No pretrained weights exist for test_vit. Use `pretrained=False`.")

    monkeypatch.setattr(import_timm(), "create_model", unpublished)
    with pytest.raises(InputError, match="timm publishes no weights for it"):
        load_model("test_vit", None)


@pytest.mark.parametrize(
    "built", [{"num_classes": 0}, {"num_classes": 3}, {"img_size": 32, "num_classes": 4}]
)
def test_a_model_is_built_as_its_weights_are(tmp_path, built):
    """Without a classifier, with other classes, for another image size: no option has to say so."""
    model = import_timm().create_model("test_vit", **built)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model("test_vit", tmp_path / "w.safetensors")
    assert loaded.num_classes == model.num_classes
    assert loaded.patch_embed.img_size == model.patch_embed.img_size


def test_another_image_size_resamples_the_positions(tmp_path):
    model = import_timm().create_model("test_vit", num_classes=0)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    loaded = load_model("test_vit", tmp_path / "w.safetensors", image_size=96)
    assert loaded(torch.zeros(1, 3, 96, 96)).shape == (1, 64)
    assert input_config(loaded)["input_size"] == (3, 96, 96)
    with pytest.raises(InputError, match=r"option --image-size: model 'test_vit' cannot take 97 pixels"):
        load_model("test_vit", tmp_path / "w.safetensors", image_size=97)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.bias"), r"no 'head\.bias', which the model needs with shape \(10,\)"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected 'extra'"),
        (
            lambda s: s.update({"head.bias": torch.zeros(7)}),
            r"'head\.bias' has shape \(7,\); the model needs \(10,\)",
        ),
        (lambda s: s["norm.weight"].fill_(float("nan")), r"'norm\.weight' holds NaN"),
    ],
    ids=["missing", "unexpected", "shape", "nan"],
)
def test_weights_that_do_not_fit_name_the_key(tmp_path, state, change, message):
    change(state)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=message):
        load_model("builtin", tmp_path / "w.safetensors")


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_unreadable_files_are_named(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        load_model("builtin", path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        load_model("builtin", path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.safetensors or \.pth"):
        load_model("builtin", tmp_path / "w.onnx")
    torch.save([1, 2], tmp_path / "w.pth")
    with pytest.raises(InputError, match="holds a list"):
        load_model("builtin", tmp_path / "w.pth")
