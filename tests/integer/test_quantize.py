"""From real numbers to integers: near the network, its rows and formats as they were asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from integer.small_networks import images_for, integers_of, small
from safetensors.numpy import save_file
from torch import Tensor

from hwnorm.engine.covered import faults
from hwnorm.engine.engine import Engine
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.graph.read import read_graph
from hwnorm.integers.formats import quantized
from hwnorm.integers.network import Pixels
from hwnorm.integers.operations import IntegerContext, IntegerLinear
from hwnorm.integers.prepare import prepare
from hwnorm.integers.quantize import Quantized
from hwnorm.integers.stored import StoredNetwork, network_of, records
from hwnorm.network.norms import first_tensor
from hwnorm.network.ridge import Sums


def lost(found: Quantized, model: torch.nn.Module, images: Tensor) -> float:
    """Squared error of the logits over their variance."""
    with torch.no_grad():
        wanted = first_tensor(model(images)).double()
    error = found.network.to_module()(images) - wanted
    return float(error.square().sum() / (wanted - wanted.mean(0)).square().sum())


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return small()


@pytest.fixture(scope="module")
def images(model: torch.nn.Module) -> Tensor:
    return images_for(model, 200)


@pytest.fixture(scope="module")
def wide(model: torch.nn.Module, images: Tensor) -> Quantized:
    return integers_of(model, images, ratio8=1.0)


def test_integers_are_near_the_network(model, images, wide):
    """On images that no fit has seen; fewer bits lose more."""
    unseen = images_for(model, 1000, seed=1)
    eight, mixed, four = (
        lost(found, model, unseen)
        for found in (wide, *(integers_of(model, images, ratio8=ratio) for ratio in (0.5, 0.0)))
    )
    assert eight < 0.01
    assert eight < mixed < four < 0.3


@pytest.mark.parametrize(
    "changes",
    [
        {"class_token": False, "global_pool": "avg"},
        {"qk_norm": True, "init_values": 0.5},
        {"pre_norm": True, "fc_norm": True, "global_pool": "avg", "reg_tokens": 2},
        {"num_classes": 0},
        {"num_classes": 0, "class_token": False, "global_pool": "avg"},
        {"act_layer": "quick_gelu"},
        {"act_layer": "relu"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_each_kind_of_network_becomes_integers(changes):
    network = small(**changes)
    pixels = images_for(network, 100)
    assert lost(integers_of(network, pixels, ratio8=1.0), network, images_for(network, 50, seed=1)) < 0.05


def test_few_rows_are_not_fitted_to_their_noise(monkeypatch):
    """Behind the last attention a class token an image is all that counts; unseen images tell."""
    network = small(num_classes=0)
    few, unseen = images_for(network, 40), images_for(network, 200, seed=1)
    errors = []
    for scarcity in (Sums.scarcity, lambda sums: 1.0):
        monkeypatch.setattr(Sums, "scarcity", scarcity)
        errors.append(lost(integers_of(network, few, weighed=True), network, unseen))
    assert errors[0] < 0.75 * errors[1]


def test_every_tensor_is_near_what_it_stands_for(model, images, wide):
    """Codes times their step, beside the prepared graph in real numbers."""
    some = images[:20]
    with torch.no_grad():
        real = wide.prepared.graph.trace(some)
    codes = wide.network.trace(some.numpy())
    formats = wide.network.formats
    compared = 0
    for name in real.keys() & codes.keys() - {"images", "patches"}:
        if name.endswith("softmax"):
            continue  # has not been divided by its sum
        found = torch.from_numpy(formats[name].to_float(codes[name]))
        error = (found - real[name]).square().mean().sqrt() / real[name].square().mean().sqrt()
        assert float(error) < 0.1, name
        compared += 1
    assert compared == 26


def test_preparing_changes_nothing(model, images):
    """Gains of q, k and v are taken back where they are read, log2(e) by the base of the softmax."""
    graph = read_graph(model)
    prepared = prepare(graph, images[:50])
    assert prepared.gains
    wanted, found = graph(images), prepared.graph(images)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


def test_channels_of_the_context_have_one_range(model, images):
    prepared = prepare(read_graph(model), images)
    context = prepared.graph.trace(images)["blocks.1.attn.context"]
    ranges = context.abs().flatten(0, 1).quantile(1 - 1e-3, dim=0)
    torch.testing.assert_close(ranges, torch.ones_like(ranges), rtol=0.05, atol=0)


def test_ranges_of_parts_are_those_of_all_images(model, images):
    """Of each part only the largest values are kept; the quantile of all is among them."""
    graph = read_graph(model)
    gains = prepare(graph, images).gains["blocks.1.attn.context"]
    with torch.no_grad():
        context = graph.trace(images)["blocks.1.attn.context"]
    torch.testing.assert_close(1 / gains, context.abs().flatten(0, 1).quantile(1 - 1e-3, dim=0))


@pytest.mark.parametrize("step", [1, 4, 8])
def test_rows_are_as_many_as_asked_for(model, images, step):
    """Over the network almost all of the budget; in each layer the nearest that the step has."""
    for per_layer in (False, True):
        found = integers_of(model, images[:60], ratio8=0.25, row_step=step, per_layer=per_layer)
        spent = total = 0
        for op in found.network.linears:
            wide = int((op.bits == 8).sum())
            assert wide % step == 0 or wide == len(op.bits)
            narrow = np.abs(op.weight[op.bits == 4].astype(int))
            assert not narrow.size or narrow.max() <= 7
            spent, total = spent + wide * op.weight.shape[1], total + op.weight.size
            if per_layer:
                assert abs(wide - 0.25 * len(op.bits)) <= step / 2 + 1e-9
        if not per_layer:
            assert 0.23 * total < spent <= 0.25 * total


def test_a_share_that_the_step_cannot_give_is_refused(model, images):
    with pytest.raises(InputError, match=r"option --row-step: in steps of 1000 rows .* asks for 0\.25;"):
        integers_of(model, images[:20], ratio8=0.25, row_step=1000, per_layer=True)


def test_activations_have_the_bits_asked_for(model, images):
    """What products read, probabilities and values among them; an engine can run it."""
    found = integers_of(model, images, ratio8=1.0, activation_bits=6)
    formats = found.network.formats
    for op in found.network.linears:
        if op.x != "patches":
            assert formats[op.x].width == 6, op.x
    contexts = [op for op in found.network.operations if isinstance(op, IntegerContext)]
    assert contexts
    assert {formats[name].width for op in contexts for name in (op.p, op.v)} == {6}
    assert list(faults(found.network, Engine(2, 1, 2, activation_bits=6), tuple(images.shape[1:]))) == []
    assert formats["blocks.0.attn.scores"].width == 12
    assert formats["blocks.0.stream1"].width == 16


def test_multipliers_are_exact(wide):
    """A row's scale is its multiplier: what the codes stand for is what they are rescaled to."""
    for name, op in wide.made.items():
        fmt = wide.network.formats[op.x]
        scale = op.multiplier * 2.0**-op.shift * op.format.ulp / fmt.ulp
        if name != "patch_embed":
            stands_for = op.weight * scale[:, None]
            np.testing.assert_allclose(wide.weights[name][0].numpy(), stands_for, rtol=1e-6)


def test_formats_hold_what_matters():
    """Half up, saturated: 8 bits with 4 fractional ones."""
    x = torch.tensor([0.03125, -0.03125, 100.0, -100.0])
    assert quantized(x, FixedFormat(8, 4)).tolist() == [0.0625, 0.0, 7.9375, -8.0]


def test_pixels_are_bytes():
    """The codes of normalized bytes are the bytes less 128, and their scale and zero give them back."""
    pixels = Pixels((0.4, 0.5, 0.6), (0.2, 0.3, 0.4))
    bytes_ = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4))
    mean, std = (np.array(of)[:, None, None] for of in (pixels.mean, pixels.std))
    normalized = (bytes_ / 255 - mean) / std
    codes = pixels.codes(normalized)
    np.testing.assert_array_equal(codes, bytes_ - 128)
    back = codes / 128 * pixels.scale[:, None, None] + pixels.zero[:, None, None]
    np.testing.assert_allclose(back, normalized, atol=1e-12)


def stored_from(found: Quantized) -> tuple[StoredNetwork, dict[str, np.ndarray]]:
    operations, arrays = records(found.network)
    rest = {
        "seal": "",
        "layers": (),
        "weight_bits": 0,
        "buffers": {},
        "fit_images": 1,
        "epochs": (),
        "scores": {},
    }
    rest |= {"test_images": 1, "test_images_from": "", "test_fingerprint": "", "paired": {}}
    pixels = {"mean": found.network.pixels.mean, "std": found.network.pixels.std}
    return StoredNetwork.model_validate({"operations": operations, **pixels, **rest}), arrays


def test_a_stored_network_is_the_same(wide, images, tmp_path):
    stored, arrays = stored_from(wide)
    again = StoredNetwork.model_validate_json(stored.model_dump_json())
    save_file(arrays, tmp_path / "codes")
    found = network_of(again, tmp_path / "codes")
    np.testing.assert_array_equal(found.evaluate(images.numpy()), wide.network.evaluate(images.numpy()))


def test_damaged_codes_are_told_by_name(wide, tmp_path):
    stored, arrays = stored_from(wide)
    path = tmp_path / "codes"
    with pytest.raises(InputError, match="cannot be read as codes"):
        network_of(stored, path)
    save_file({name: array for name, array in arrays.items() if name != "head/weight"}, path)
    with pytest.raises(InputError, match="head/weight is missing; int8 was expected"):
        network_of(stored, path)
    save_file(arrays | {"head/weight": arrays["head/weight"].astype(np.int32)}, path)
    with pytest.raises(InputError, match="head/weight is of type int32; int8 was expected"):
        network_of(stored, path)


def test_an_operation_that_reads_nothing_is_refused(wide):
    stored, _ = stored_from(wide)
    data = stored.to_json()
    data["operations"][3]["x"] = "nothing"
    with pytest.raises(ValueError, match="reads 'nothing', which nothing before it makes"):
        StoredNetwork.model_validate(data)


def test_a_row_that_saturates_does_so(wide, images):
    """A bias beyond the format gives the largest code, and no wrap."""
    network = wide.network
    last = network.operations[-1]
    assert isinstance(last, IntegerLinear)
    bias = last.bias.copy()
    bias[0] += int(last.format.max_code) << (last.shift + 1 - int(last.multiplier[0]).bit_length() + 1)
    changed = replace(network, operations=(*network.operations[:-1], replace(last, bias=bias)))
    assert (changed.evaluate(images[:5].numpy())[:, 0] == last.format.max_code).all()
