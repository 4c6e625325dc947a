"""The integer network of a run folder, and the scores that tell what each step to it costs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from torch import Tensor, nn

from hwnorm.data.config import input_config
from hwnorm.datapath.ir import Datapath
from hwnorm.datapath.module import FixedPointFunction
from hwnorm.errors import InputError
from hwnorm.files import write_whole
from hwnorm.graph.graph import Graph
from hwnorm.graph.read import read_graph
from hwnorm.integers.between import Rounded
from hwnorm.integers.network import IntegerNetwork, Pixels
from hwnorm.integers.quantize import Quantized, Recipe, Source
from hwnorm.integers.quantize import quantize as make_integers
from hwnorm.integers.stored import CODES, LayerBits, StoredNetwork, network_of, records
from hwnorm.integers.trainable import TrainableNetwork
from hwnorm.network.evaluate import evaluate
from hwnorm.network.norms import find_norms
from hwnorm.network.output_loss import OutputLoss, has_head
from hwnorm.network.replacement import functions_of, replace_norms, with_functions
from hwnorm.network.sensitivity import WEIGHED, refit_weights
from hwnorm.network.subnet import wide_rows
from hwnorm.progress import progress_bar
from hwnorm.realign.distributed import is_first
from hwnorm.realign.finetune import Epoch
from hwnorm.runs.folder import RunFolder
from hwnorm.runs.inputs import Inputs
from hwnorm.runs.products import CHOICE, INTEGER, REALIGNED
from hwnorm.runs.settings import Norms, patterns, target_of
from hwnorm.stages.tuning import tuned

#: So many tokens are fitted to at most: all of them are in memory.
TOKENS = 131_072
#: Directions of each image's output by which formats are chosen.
DIRECTIONS = 2


def quantize(run: RunFolder, inputs: Inputs) -> None:
    """Write ``integer.json`` and ``integer.safetensors``.

    Measured on the test images: the original, the bit-true network before, the one with quantized weights
    alone, with quantized activations too, and the one of integers, before and after it was fine-tuned.

    Raises:
        InputError: no choice or re-alignment, or one that is stale; a network that no graph covers; a norm
            that is to stay and is none.
    """
    made_from = run.made_from(INTEGER, inputs)
    codes = run.path / CODES
    if run.has(INTEGER, made_from, beside=(codes,)) and run.stale(INTEGER) is None:
        return
    s, model, tests, at = run.settings, inputs.model, inputs.test_images, networks(run, inputs)
    with progress_bar() as bar:
        task = bar.add_task("quantize", total=None)
        found = make(run, inputs, at, lambda done, total: bar.update(task, completed=done, total=total))
    classes = int(getattr(model, "num_classes", 0)) if tests.labelled else 0
    exact = {name: FixedPointFunction(path) for name, path in at.datapaths.items()}
    network = found.network
    history: tuple[Epoch, ...] = ()
    if s.finetuning_integers is not None:
        network, history = _tuned(run, inputs, network)
    compared = {
        "layernorm": model,
        "bit_true": at.before,
        "weights": Rounded(found.prepared.graph, found.weights, {}, exact),
        "activations": Rounded(found.prepared.graph, found.weights, found.findings.formats, exact),
        "integer": network.to_module(),
    }
    if network is not found.network:
        compared["closed_form"] = found.network.to_module()
    scores = evaluate(compared, model, tests, classes, progress="evaluate")
    if not is_first():
        return
    stored, arrays = records(network)
    write_whole(codes, lambda beside: save_file(arrays, beside))
    run.write(
        INTEGER,
        StoredNetwork.model_validate(
            {
                "seal": INTEGER.seal(run.path) if INTEGER.seal is not None else "",
                "mean": network.pixels.mean,
                "std": network.pixels.std,
                "operations": stored,
                "layers": _layers(found),
                "weight_bits": weight_bits(network),
                "buffers": _buffers(network, next(iter(tests.batches(1)))[0]),
                "fit_images": found.images,
                "epochs": history,
                "test_images": len(tests),
                "test_images_from": tests.description,
                "test_fingerprint": tests.fingerprint,
                "scores": {name: score.to_json() for name, score in scores.items()},
                "paired": {
                    name: score.paired.to_json() for name, score in scores.items() if score.paired is not None
                },
            }
        ),
        made_from,
        beside=(codes,),
    )
    _checkpoint(run).unlink(missing_ok=True)


def _tuned(
    run: RunFolder, inputs: Inputs, network: IntegerNetwork
) -> tuple[IntegerNetwork, tuple[Epoch, ...]]:
    student = TrainableNetwork(network)
    history = tuned(run.settings, inputs, student, {}, _checkpoint(run))
    return student.to_integers(), tuple(history)


def _checkpoint(run: RunFolder) -> Path:
    return run.path / "finetune_integers.pt"


def integer_network(run: RunFolder) -> IntegerNetwork:
    """The network that a run folder holds.

    Raises:
        InputError: there is none, it is damaged, or it does not belong to what lies beside it.
    """
    return network_of(run.read(INTEGER), run.path / CODES)


def weight_bits(network: IntegerNetwork) -> int:
    """Of all weights, biases and multipliers left aside."""
    return int(sum(int(op.bits.astype(np.int64).sum()) * op.weight.shape[1] for op in network.linears))


@dataclass(frozen=True)
class Networks:
    """What becomes integers: ``before`` is bit-true, ``student`` the same in floating point.

    Norms that are to stay are LayerNorms in the student; ``datapaths`` are of its functions that are built.
    """

    before: nn.Module
    student: nn.Module
    datapaths: Mapping[str, Datapath]


def networks(run: RunFolder, inputs: Inputs) -> Networks:
    """The networks that a run's settings ask for.

    Raises:
        InputError: as :func:`quantize`.
    """
    s, model = run.settings, inputs.model
    if s.norms is Norms.LAYERNORM:
        return Networks(model, model, {})
    chosen = run.read(CHOICE).layers
    run.read(REALIGNED)
    functions, integers = (functions_of(chosen, fixed) for fixed in (False, True))
    student = replace_norms(model, functions)
    student.load_state_dict(load_file(run.realigned_weights))
    before = with_functions(student, integers)
    kept = _kept(patterns(s.keep_norms), [c.layer for c in chosen])
    datapaths = {c.layer: c.datapath for c in chosen if c.datapath is not None and c.layer not in kept}
    if not kept:
        return Networks(before, student, datapaths)
    mixed = replace_norms(model, {name: f for name, f in functions.items() if name not in kept})
    # Layers that read a norm which stays begin with the weights that they had when they read it.
    own = {name for site in find_norms(model) if site.name in kept for name in (site.name, *site.consumers)}
    state = mixed.state_dict()
    state |= {
        name: value
        for name, value in student.state_dict().items()
        if name in state and name.rpartition(".")[0] not in own
    }
    mixed.load_state_dict(state)
    return Networks(before, mixed, datapaths)


def make(
    run: RunFolder, inputs: Inputs, at: Networks, step: Callable[[int, int], None] = lambda done, total: None
) -> Quantized:
    """The integers of a run's network; writes nothing.

    Args:
        at: the run's :func:`networks`.
        step: is called after each linear layer with how many are done, and of how many.

    Raises:
        InputError: as :func:`quantize`.
    """
    s, model = run.settings, inputs.model
    graph, teacher = read_graph(at.student), read_graph(at.before)
    pixels = Pixels.of(input_config(model))
    images = _calibration(inputs, graph)
    loss = OutputLoss(has_head(model))
    source = Source(
        graph,
        teacher,
        at.datapaths,
        refit_weights(model, images[:WEIGHED], {op.layer for op in graph.linears}),
        lambda output: loss.directions(output, DIRECTIONS),
        loss.loss_of,
        wide_rows(model),
    )
    done = itertools.count(1)
    return make_integers(
        source,
        pixels,
        images,
        Recipe(s.ratio8, s.per_layer, s.row_step, s.activation_bits),
        target_of(s),
        s.clock_mhz,
        step=lambda: step(next(done), len(graph.linears)),
    )


def _kept(wanted: list[str], names: list[str]) -> set[str]:
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"option --keep-norms: {pattern!r} matches no norm; there are {', '.join(names)}"
            )
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)}


def _calibration(inputs: Inputs, graph: Graph) -> Tensor:
    """Training images, as many as make :data:`TOKENS`."""
    images = inputs.training_images
    first = next(iter(images.batches(1)))[0]
    tokens = max(value.shape[1] for value in graph.trace(first).values() if value.ndim == 3)
    limited = images.limited(max(1, TOKENS // tokens))
    return torch.cat([pixels for pixels, _ in limited.batches(100)])


def _layers(found: Quantized) -> list[LayerBits]:
    return [
        LayerBits(
            layer=name,
            rows=len(op.bits),
            inputs=op.weight.shape[1],
            rows8=int((op.bits == 8).sum()),
            output=op.format,
            left=found.left[name],
        )
        for name, op in found.made.items()
    ]


def _buffers(network: IntegerNetwork, image: Tensor) -> dict[str, int]:
    """Bytes of each kind's largest tensor, for one image."""
    formats, sizes = network.formats, Counter[str]()
    for name, codes in network.trace(image.numpy()).items():
        kind = "scores" if codes.ndim == 4 else "stream" if formats[name].width > 12 else "activations"
        sizes[kind] = max(sizes[kind], codes[0].size * -(-formats[name].width // 8))
    return dict(sizes)
