"""Replacement: folding is exact, what cannot fold stays, and the result is an ordinary module."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from run_folders import choice_of, straight
from safetensors.torch import save_file
from torch import Tensor, nn

import hwnorm
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.files import digest
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.network.choice import functions_digest
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import ChannelAffine, replace, replace_norms, replaced
from hwnorm.targets.target import load_target

EXPRESSION = "2.58*tanh(x) + 0.24"


@pytest.fixture(scope="module")
def datapath() -> Datapath:
    return lower(parse(EXPRESSION), FixedFormat(12, 8), FixedFormat(8, 5), load_target("xcup"), 250.0)


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def plain_norms(model: nn.Module) -> dict[str, nn.Module]:
    """Each norm's own normalization, without its affine."""
    return {
        site.name: nn.LayerNorm(site.channels, eps=site.eps, elementwise_affine=False)
        for site in find_norms(model)
    }


def difference(got: nn.Module, want: nn.Module) -> float:
    with torch.no_grad():
        a, b = got(images()), want(images())
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(
    "changes",
    [
        {"global_pool": "token"},
        {"global_pool": "avg", "class_token": False, "fc_norm": False},
        {"global_pool": "avg", "fc_norm": False, "init_values": 0.1},
        {"qkv_bias": False},
        {"num_classes": 0},
        {"qk_norm": True},
    ],
    ids=["class token", "mean of tokens", "LayerScale", "linear without bias", "no head", "q/k norms"],
)
def test_folding_alone_changes_nothing(small_vit, changes):
    """Where a norm has no linear reader (last two cases), its affine stays behind the function."""
    model = small_vit(**changes)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded = replace_norms(model, plain_norms(model))
    assert difference(folded, model) < 1e-5
    assert not any(isinstance(m, nn.LayerNorm) and m.elementwise_affine for m in folded.modules())
    kept = [name for name, m in folded.named_modules() if isinstance(m, ChannelAffine)]
    assert kept == [site.name for site in find_norms(model) if not site.consumers]
    assert bool(kept) == bool({"num_classes", "qk_norm"} & changes.keys())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_affine_functions_fold_away_whole(small_vit):
    model = small_vit(num_classes=0)
    lines = {site.name: "0.75*(x - 0.5) + x" for site in find_norms(model)}

    class Line(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 1.75 * x - 0.375

    folded = hwnorm.replace(model, lines)
    as_module = hwnorm.replace(model, dict.fromkeys(lines, Line()))
    assert difference(folded, as_module) < 1e-5
    assert isinstance(folded.blocks[0].norm1, nn.Identity)
    assert isinstance(folded.norm, ChannelAffine)
    told = replaced(model, {name: parse(text).to_module() for name, text in lines.items()})
    assert [r.whole for r in told] == [True] * 4 + [False]
    assert told[0].affine == "folded into blocks.0.attn.qkv, the function too"
    assert told[-1].affine == "kept: a weight and a bias a channel follow the function"


def test_only_the_named_norms_are_replaced(small_vit):
    model = small_vit()
    folded = hwnorm.replace(model, {"blocks.1.norm2": "tanh(x)"})
    assert torch.equal(folded.blocks[1].norm2(images()), images().tanh())
    assert torch.equal(folded.blocks[0].norm1.weight, model.blocks[0].norm1.weight)
    assert torch.equal(folded.blocks[0].attn.qkv.weight, model.blocks[0].attn.qkv.weight)


def test_an_unknown_name_is_refused(small_vit):
    with pytest.raises(InputError, match=r"layer 'norm3': no norm .*blocks\.0\.norm1, "):
        hwnorm.replace(small_vit(), {"norm3": "tanh(x)"})


def test_bit_true_needs_a_datapath(small_vit):
    with pytest.raises(InputError, match="layer 'norm': an expression has no bits"):
        hwnorm.replace(small_vit(), {"norm": "tanh(x)"}, fixed=True)


Build = Callable[[bool], nn.Module]


@pytest.fixture
def build(small_vit, datapath) -> Build:
    """The small ViT with all norms replaced, the last of which keeps its affine."""
    model = small_vit(num_classes=0)
    choice = {site.name: datapath for site in find_norms(model)}
    return lambda fixed: hwnorm.replace(model, choice, fixed=fixed)


def test_one_state_dict_fits_float_and_bit_true(build):
    floating, integers = build(False), build(True)
    stored = io.BytesIO()
    torch.save(floating.state_dict(), stored)
    stored.seek(0)
    integers.load_state_dict(torch.load(stored, weights_only=True))
    assert 1e-4 < difference(integers, floating) < 0.5


@pytest.mark.parametrize("fixed", [False, True])
def test_torch_export(build, fixed):
    module = build(fixed)
    exported = torch.export.export(module, (images(2),)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(images(2)), module(images(2)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("fixed", [False, True])
def test_onnx_export(build, fixed, tmp_path):
    """onnxruntime computes what the module computes; a code on the edge of a step may fall either way."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    module = build(fixed)
    path = tmp_path / "m.onnx"
    torch.onnx.export(module, (images(2),), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: images(2).numpy()})
    with torch.no_grad():
        want = module(images(2))
    error = float((torch.from_numpy(got) - want).norm() / want.norm())
    assert error < (2e-2 if fixed else 1e-5)


def test_bit_true_gradients_are_the_expressions(datapath):
    """The value is the table's, bit for bit; the gradient is the expression's at the code that x rounds to.

    Where x saturates there is none.
    """
    floating, integers = (
        hwnorm.network.replacement.functions_of({"f": datapath}, fixed)["f"] for fixed in (False, True)
    )
    x = torch.linspace(-9.5, 9.5, 301)
    grads = []
    rounded = torch.from_numpy(datapath.input.to_float(datapath.input.quantize(x.numpy()))).float()
    for module, where in ((floating, rounded), (integers, x)):
        at = where.clone().requires_grad_()
        out = module(at)
        out.sum().backward()
        grads.append(at.grad)
    assert torch.equal(out.detach(), integers(x))
    inside = (x > -8) & (x < 7.99)
    torch.testing.assert_close(grads[1][inside], grads[0][inside])
    assert not grads[1][~inside].any()
    assert float(grads[0][inside].abs().max()) > 1


def test_realigned_weights_belong_to_a_choice(tmp_path, small_vit):
    """They load for the functions that they were fitted to; for others they are refused, with the command."""
    model = small_vit()
    layer = find_norms(model)[0].name
    line = straight("a").model_copy(update={"layer": layer})
    choice_of(line).write(tmp_path / "choice.json", 0, {})
    student = replace(model, [line])
    with torch.no_grad():
        student.head.bias += 1.0
    state = {name: value.contiguous() for name, value in student.state_dict().items()}
    path = tmp_path / "realigned.safetensors"
    save_file(state, path, {"choice": digest(functions_digest([line]))})
    back = hwnorm.realigned(model, tmp_path)
    assert torch.equal(back.head.bias, student.head.bias)
    other = line.model_copy(update={"expression": "0.75*x"})
    choice_of(other).write(tmp_path / "choice.json", 0, {})
    with pytest.raises(InputError, match=r"other functions than those of choice\.json; `hwnorm realign"):
        hwnorm.realigned(model, tmp_path)
    choice_of(line).write(tmp_path / "choice.json", 0, {})
    save_file(state | {"head.bias": torch.zeros(3)}, path, {"choice": digest(functions_digest([line]))})
    with pytest.raises(InputError, match="does not fit the model") as caught:
        hwnorm.realigned(model, tmp_path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"weights")
    with pytest.raises(InputError, match="cannot be read as weights"):
        hwnorm.realigned(model, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("pool", ["token", "avg"])
def test_a_model_of_16_bits_is_replaced_like_one_of_32(small_vit, datapath, dtype, fixed, pool):
    """In its own precision, with the weights that folding in 32 bits and rounding once gives."""
    model = small_vit(global_pool=pool).to(dtype)
    choice = {site.name: datapath for site in find_norms(model.float())}
    wide, narrow = replace(model.float(), choice, fixed=fixed), replace(model.to(dtype), choice, fixed=fixed)
    assert {p.dtype for p in narrow.parameters()} == {dtype}
    assert all(torch.equal(narrow.state_dict()[n], v.to(dtype)) for n, v in wide.state_dict().items())
    with torch.no_grad():
        got, want = narrow(images().to(dtype)), wide(images())
    assert got.dtype == dtype
    assert float((got.float() - want).norm() / want.norm()) < 0.2


def test_torch_compile_before_and_after(small_vit, datapath):
    """A compiled model gives the module in it, replaced; that one compiles, and computes the same."""
    model = small_vit(depth=1)
    functions = {"blocks.0.norm1": parse(EXPRESSION).to_module(), "norm": FixedPointFunction(datapath)}
    plain = replace_norms(model, functions)
    student = replace_norms(torch.compile(model, backend="eager"), functions)
    assert student.state_dict().keys() == plain.state_dict().keys()
    compiled = torch.compile(student, backend="eager")
    x = images()
    torch.testing.assert_close(compiled(x), plain(x))
    compiled(x).square().mean().backward()
    assert all(p.grad is not None for p in student.parameters())
