"""Networks that are not timm's and see no images: example inputs tell what they take."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hwnorm
from hwnorm.capture.hooks import capture
from hwnorm.choose.consumers import readings
from hwnorm.choose.effect import effects, gradients_of
from hwnorm.choose.network import Calibration, NetworkLoss
from hwnorm.data.imageset import ImageSet
from hwnorm.errors import InputError
from hwnorm.network.cuts import find_cuts
from hwnorm.network.norms import find_norms
from hwnorm.network.replacement import ChannelAffine, replace_norms, replaced
from hwnorm.realign.closed_form import realign
from hwnorm.realign.finetune import Recipe, finetune, mirror

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


class _Padded(_Encoder):
    """Tokens of zeros are padding, left out of the mean: a mask that autograd's graph does not have."""

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        kept = (x.abs().sum(-1) if x.is_floating_point() else torch.arange(KINDS)[x]).ne(0)[..., None]
        x = self.embedding(x)
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        out: Tensor = self.head((self.norm(x) * kept).sum(1) / kept.sum(1))
        return out


def features() -> Tensor:
    return torch.randn(3, TOKENS, 4, generator=torch.Generator().manual_seed(0))


def numbers() -> Tensor:
    return torch.arange(3 * TOKENS).view(3, TOKENS) % KINDS


def encoder(
    embedding: nn.Module, attention: type[nn.Module] = _Attention, of: type[_Encoder] = _Encoder
) -> nn.Module:
    torch.manual_seed(0)
    model = of(embedding, attention()).eval()
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
LAYERS = ["norm1", "norm2", "norm"]


def many(case: str, count: int = 240) -> Tensor:
    """Inputs as the network of a case takes them; features of tokens differ in scale, so that norms act."""
    draw = torch.Generator().manual_seed(1)
    if case != "features":
        return torch.randint(KINDS, (count, TOKENS), generator=draw)
    return torch.randn(count, TOKENS, 4, generator=draw) * (
        0.5 + torch.rand(count, TOKENS, 1, generator=draw)
    )


def stand_ins() -> dict[str, nn.Module]:
    return {name: hwnorm.expression.parse("2*tanh(0.4*x)").to_module() for name in LAYERS}


def norms_themselves() -> dict[str, nn.Module]:
    return {name: nn.LayerNorm(WIDTH, elementwise_affine=False) for name in LAYERS}


@torch.no_grad()
def divergence(student: nn.Module, teacher: nn.Module, inputs: Tensor) -> float:
    """Mean KL divergence of the class probabilities from the teacher's."""
    found, wanted = (model(inputs).log_softmax(1) for model in (student, teacher))
    return float(nn.functional.kl_div(found, wanted, log_target=True, reduction="batchmean"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("case", SINGLE)
def test_a_choice_costs_nothing_where_norms_stay_and_less_refitted_than_not(case, dtype):
    model = CASES[case][0]()
    network = NetworkLoss(model, Calibration.of(model, _Inputs(many(case))), LAYERS)
    unseen = network.images.measure
    assert len(unseen) == 120
    own = network.measure(norms_themselves(), unseen, dtype)
    assert own.loss < 1e-6
    assert own.agreement == 100.0
    plain = divergence(replace_norms(model, stand_ins(), example_inputs=unseen), model, unseen)
    assert 1e-6 < network.measure(stand_ins(), unseen, dtype).loss < 0.3 * plain


@pytest.mark.parametrize("case", ["features", "token numbers"])
def test_masks_of_the_input_are_seen_to_the_end(case):
    """Nothing is lost where norms stay, though the mask is read behind the last of them."""
    inputs = many(case)
    inputs[::2, -2:] = 0
    model = encoder(nn.Linear(4, WIDTH) if case == "features" else nn.Embedding(KINDS, WIDTH), of=_Padded)
    network = NetworkLoss(model, Calibration.of(model, _Inputs(inputs)), LAYERS)
    assert network.measure(norms_themselves(), network.images.measure).loss < 1e-6


@pytest.mark.parametrize("case", SINGLE)
def test_what_functions_do_to_the_output_and_what_consumers_read_is_found(case):
    model = CASES[case][0]()
    network = NetworkLoss(model, Calibration.of(model, _Inputs(many(case))), LAYERS)
    tried = [nn.LayerNorm(WIDTH, elementwise_affine=False).double(), stand_ins()["norm"]]
    found = effects(network, gradients_of(network), dict.fromkeys(LAYERS, tried))
    assert list(found) == LAYERS
    for moves in found.values():
        none, bent = network.loss_of(moves).tolist()
        assert none < 1e-6
        assert bent > 100 * none
    # The head reads the mean of tokens, not them.
    assert {name: reading.x.shape for name, reading in readings(network).items()} == {
        name: (len(network.images.fit) * TOKENS, WIDTH) for name in ("norm1", "norm2")
    }


@pytest.mark.parametrize("case", SINGLE)
def test_closed_form_brings_a_plain_module_back(case):
    """On inputs that no fit has seen; the head too, where ``num_classes`` tells of one."""
    model = CASES[case][0]()
    fit, unseen = many(case).split([180, 60])
    student, fits = realign(model, stand_ins(), _Inputs(fit), batch=30)
    refitted = ["attention.qkv", "attention.out", "mlp.0", "mlp.2", "head"]
    assert [found.layer for found in fits] == refitted
    plain = replace_norms(model, stand_ins(), example_inputs=fit)
    assert divergence(student, model, unseen) < 0.1 * divergence(plain, model, unseen)
    model.num_classes = 5
    student, fits = realign(model, stand_ins(), _Inputs(fit), batch=30)
    assert [found.layer for found in fits] == [*refitted, "head"]
    assert divergence(student, model, unseen) < 0.1 * divergence(plain, model, unseen)


def test_closed_form_brings_torchs_encoder_layer_back():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 32, batch_first=True, norm_first=True)
    model = nn.Sequential(nn.Linear(4, WIDTH), layer, nn.LayerNorm(WIDTH), nn.Flatten(), nn.Linear(7 * 16, 5))
    fit, unseen = many("features").split([180, 60])
    functions = dict(zip(["1.norm1", "1.norm2", "2"], stand_ins().values(), strict=True))
    student, _ = realign(model.eval(), functions, _Inputs(fit), batch=30)
    plain = replace_norms(model, functions, example_inputs=fit)
    assert divergence(student, model, unseen) < 0.5 * divergence(plain, model, unseen)


@pytest.mark.parametrize("method", ["D", "features"])
@pytest.mark.parametrize("case", ["features", "token numbers"])
def test_an_epoch_of_fine_tuning_lessens_the_loss(case, method):
    build, example = CASES[case]
    model, inputs = build(), many(case)
    sites = {site.name: site for site in find_norms(model, example_inputs=example)}
    student = replace_norms(model, stand_ins(), example_inputs=example)
    with torch.no_grad():
        images = _Inputs(inputs, model(inputs).argmax(1))
    before, after = finetune(student, model, sites, images, Recipe(method, 1, 20, 3e-3, amp=False))
    assert after.loss < 0.9 * before.loss


@pytest.mark.parametrize("case", SINGLE)
def test_cuts_are_found_behind_what_embeds(case):
    build, example = CASES[case]
    assert find_cuts(build(), example_inputs=example) == ["embedding", "norm", "head"]


def test_what_is_no_image_is_not_mirrored():
    rng = np.random.default_rng(0)
    assert torch.equal(mirror(features(), rng), features())
    assert torch.equal(mirror(numbers(), rng), numbers())
