"""Networks that are not timm's and see no images: example inputs tell what they take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hwnorm
from hwnorm.capture.hooks import capture
from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.network.cuts import find_cuts
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import ChannelAffine, replace_norms, replaced

WIDTH, TOKENS, KINDS = 16, 7, 11


class _Attention(nn.Module):
    """Its own, so that its linear layer can be seen to read the norm."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        out: Tensor = self.out(torch.softmax(q @ k.transpose(1, 2) / WIDTH**0.5, -1) @ v)
        return out


class _Torchs(nn.MultiheadAttention):
    """Torch's reads its weights itself: no module of it is seen to read the norm."""

    def __init__(self) -> None:
        super().__init__(WIDTH, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        out: Tensor = super().forward(x, x, x, need_weights=False)[0]
        return out


class _Encoder(nn.Module):
    def __init__(self, embedding: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.embedding, self.attention = embedding, attention
        self.norm1, self.norm2, self.norm = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, 5)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        x = self.embedding(x)
        x = x if scale is None else x * scale
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        out: Tensor = self.head(self.norm(x).mean(1))
        return out


def features() -> Tensor:
    return torch.randn(3, TOKENS, 4, generator=torch.Generator().manual_seed(0))


def numbers() -> Tensor:
    return torch.arange(3 * TOKENS).view(3, TOKENS) % KINDS


def encoder(embedding: nn.Module, attention: type[nn.Module] = _Attention) -> nn.Module:
    torch.manual_seed(0)
    model = _Encoder(embedding, attention()).eval()
    for name in ("norm1", "norm2", "norm"):
        norm = model.get_submodule(name)
        for parameter in norm.parameters():
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


CASES = {
    "features": (lambda: encoder(nn.Linear(4, WIDTH)), features()),
    "token numbers": (lambda: encoder(nn.Embedding(KINDS, WIDTH)), numbers()),
    "frozen token numbers": (lambda: encoder(nn.Embedding(KINDS, WIDTH)).requires_grad_(False), numbers()),
    "two arguments": (lambda: encoder(nn.Linear(4, WIDTH)), (features(), torch.tensor(2.0))),
}


@pytest.mark.parametrize("case", CASES)
def test_norms_are_found_and_fold(case):
    """With the norms' own normalization in their places the network is the same."""
    build, example = CASES[case]
    model = build()
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    sites = find_norms(model, example_inputs=example)
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert {site.name: site.consumers for site in sites} == {
        "norm1": ("attention.qkv",),
        "norm2": ("mlp.0",),
        "norm": ("head",),
    }
    plain = {site.name: nn.LayerNorm(WIDTH, elementwise_affine=False) for site in sites}
    folded = replace_norms(model, plain, example_inputs=example)
    arguments = example if isinstance(example, tuple) else (example,)
    with torch.no_grad():
        torch.testing.assert_close(folded(*arguments), model(*arguments), rtol=1e-4, atol=1e-5)
    assert [r.layer for r in replaced(model, plain, example_inputs=example)] == ["norm1", "norm2", "norm"]


def test_what_torchs_attention_reads_keeps_its_affine():
    model = encoder(nn.Linear(4, WIDTH), _Torchs)
    changed = hwnorm.replace(model, {"norm1": "tanh(x)", "norm2": "tanh(x)"}, example_inputs=features())
    assert isinstance(changed.norm1, ChannelAffine)
    assert str(changed.norm2) == str(hwnorm.expression.parse("tanh(x)").to_module())
    with torch.no_grad():
        assert changed(features()).shape == (3, 5)


@pytest.mark.parametrize("norm_first", [True, False])
def test_torchs_encoder_layer_computes_the_function_in_inference_too(norm_first):
    """Its fused inference knows LayerNorms alone."""
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True, norm_first=norm_first)
    model = nn.Sequential(nn.Linear(4, WIDTH), layer, nn.Linear(WIDTH, 3)).eval()
    functions = {site.name: "tanh(x)" for site in find_norms(model, example_inputs=features())}
    assert list(functions) == ["1.norm1", "1.norm2"]
    changed = hwnorm.replace(model, functions, example_inputs=features())
    want = changed(features().requires_grad_())
    with torch.no_grad():
        torch.testing.assert_close(changed(features()), want)


def test_without_example_inputs_it_is_said_what_to_give():
    model = encoder(nn.Linear(4, WIDTH))
    for call in (find_norms, lambda m: hwnorm.replace(m, {"norm": "tanh(x)"})):
        with pytest.raises(
            InputError, match=r"^_Encoder: .* give example_inputs, a tensor or a tuple"
        ) as caught:
            call(model)
        assert "\n" not in str(caught.value)


class _Inputs(ImageSet):
    """Features or token numbers in the place of images."""

    description = preparation = fingerprint = "of the test"

    def __init__(self, inputs: Tensor, labels: Tensor | None = None) -> None:
        self.labelled = labels is not None
        self._inputs = inputs
        self._labels = torch.zeros(len(inputs), dtype=torch.int64) if labels is None else labels

    def __len__(self) -> int:
        return len(self._inputs)

    def subset(self, indices: np.ndarray) -> ImageSet:
        at = torch.from_numpy(indices)
        return _Inputs(self._inputs[at], self._labels[at] if self.labelled else None)

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self._inputs.split(size), self._labels.split(size), strict=True)


@pytest.mark.parametrize("case", ["features", "token numbers"])
def test_capture_profiles_what_is_no_image(case):
    build, example = CASES[case]
    model = build()

    sites = find_norms(model, example_inputs=example)
    profiles = capture(model, _Inputs(example), sites, example_inputs=example)
    assert {profile.images for profile in profiles.values()} == {len(example)}
    assert {profile.tokens for profile in profiles.values()} == {len(example) * TOKENS}


#: Networks of one input, which stages after capture can be given images of.
SINGLE = ["features", "token numbers", "frozen token numbers"]


@pytest.mark.parametrize("case", SINGLE)
def test_cuts_are_found_behind_what_embeds(case):
    build, example = CASES[case]
    assert find_cuts(build(), example_inputs=example) == ["embedding", "norm", "head"]
