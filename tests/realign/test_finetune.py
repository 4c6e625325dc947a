"""The gradient stage: each method learns, resumes to the same result, and looks at no test image."""

from __future__ import annotations

import copy
import subprocess
import sys
from dataclasses import replace as change

import numpy as np
import pytest
import torch
from small_students import FAST, datapaths_of, interrupted_after_one_epoch, replaced, sites_of

import hwnorm
import hwnorm.realign.finetune as stage
from hwnorm.data.images import load_images
from hwnorm.errors import InputError
from hwnorm.realign.finetune import finetune, mirror, split


@pytest.fixture
def images(teacher):
    return load_images(None, "train", teacher).limited(88)


@pytest.mark.parametrize("method", ["A", "F", "D", "features"])
def test_the_best_epoch_is_kept(teacher, images, method):
    """The student ends with the least loss on the held-out images of all its epochs."""
    student = replaced(teacher)
    recipe = change(FAST, method=method)
    history = finetune(student, teacher, sites_of(teacher), images, recipe)
    assert len(history) == 3
    assert min(epoch.loss for epoch in history[1:]) < history[0].loss
    best = min(history, key=lambda epoch: epoch.loss)
    objective = stage._Objective(student, teacher, recipe, images.example())
    _, held = split(images, recipe.seed)
    again = stage._measure(objective, held, recipe, torch.device("cpu"))
    assert again.loss == pytest.approx(best.loss, rel=1e-4)
    assert not student.training
    assert (history[0].top1 is None) == (method == "features")
    # Nothing that the method adds is left behind.
    assert student.state_dict().keys() == replaced(teacher).state_dict().keys()


def test_affine_only_trains_nothing_else(teacher, images):
    """Behind method A's student is the start's, up to a gain and a shift of each reader's inputs."""
    student, start = replaced(teacher), replaced(teacher)
    finetune(student, teacher, sites_of(teacher), images, change(FAST, method="A", epochs=1))
    now, before = student.blocks[0].attn, start.blocks[0].attn
    assert torch.equal(now.proj.weight, before.proj.weight)
    ratio = now.qkv.weight / before.qkv.weight
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert float((ratio - 1).detach().abs().max()) > 1e-3


def test_resuming_ends_as_if_it_had_not_stopped(teacher, images, tmp_path, monkeypatch):
    whole, parted = replaced(teacher), replaced(teacher)
    first = finetune(whole, teacher, sites_of(teacher), images, FAST)
    with interrupted_after_one_epoch():
        finetune(copy.deepcopy(parted), teacher, sites_of(teacher), images, FAST, tmp_path / "c.pt")
    train, epochs = stage._train_epoch, []
    monkeypatch.setattr(stage, "_train_epoch", lambda *args: (epochs.append(args[4]), train(*args)))
    second = finetune(parted, teacher, sites_of(teacher), images, FAST, tmp_path / "c.pt")
    assert epochs == [1]
    assert second == first
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parted.state_dict()[name]), name


def test_a_checkpoint_of_another_recipe_is_not_gone_on_from(teacher, images, tmp_path):
    finetune(replaced(teacher), teacher, sites_of(teacher), images, FAST, tmp_path / "c.pt")
    other = change(FAST, learning_rate=1e-3)
    fresh, resumed = replaced(teacher), replaced(teacher)
    assert finetune(fresh, teacher, sites_of(teacher), images, other) == finetune(
        resumed, teacher, sites_of(teacher), images, other, tmp_path / "c.pt"
    )


def test_a_damaged_checkpoint_is_named(teacher, images, tmp_path):
    (tmp_path / "c.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match=r"c\.pt: cannot be read as a checkpoint .*remove it"):
        finetune(replaced(teacher), teacher, sites_of(teacher), images, FAST, tmp_path / "c.pt")
    for other in ({"student": {}}, [1, 2]):
        torch.save(other, tmp_path / "c.pt")
        with pytest.raises(InputError, match=r"c\.pt: holds no state of this training; remove it"):
            finetune(replaced(teacher), teacher, sites_of(teacher), images, FAST, tmp_path / "c.pt")


def test_training_stops_where_nothing_gets_better(teacher, images):
    recipe = change(FAST, epochs=9, learning_rate=1e-12, patience=2)
    history = finetune(replaced(teacher), teacher, sites_of(teacher), images, recipe)
    assert len(history) <= 5


def test_splits_are_disjoint(teacher):
    """Training, held-out and test images: no image is in two of them."""
    training, test = (load_images(None, which, teacher) for which in ("train", "test"))
    used, held = split(training, 0)
    assert len(used) + len(held) == len(training)
    sets = [{image.tobytes() for image in part.images} for part in (used, held, test)]
    assert [len(found) for found in sets] == [len(used), len(held), len(test)]
    assert not sets[0] & sets[1]
    assert not (sets[0] | sets[1]) & sets[2]


def test_hardware_in_the_loop_trains_through_the_integers(teacher, images):
    student = hwnorm.replace(teacher, datapaths_of(teacher), fixed=True)
    before = copy.deepcopy(student)
    history = finetune(student, teacher, sites_of(teacher), images, change(FAST, epochs=3))
    assert min(epoch.loss for epoch in history[1:]) < history[0].loss
    assert not torch.equal(student.blocks[0].attn.qkv.weight, before.blocks[0].attn.qkv.weight)
    assert torch.equal(student.norm.table.nan_to_num(), before.norm.table.nan_to_num())


def test_half_of_the_images_are_mirrored_and_nothing_else_is_done():
    ramp = torch.arange(28.0).expand(1, 1, 28, 28).repeat(200, 1, 1, 1)
    seen = mirror(ramp, np.random.default_rng(0))
    turned = (seen == ramp.flip(-1)).flatten(1).all(1)
    assert torch.equal(seen[~turned], ramp[~turned])
    assert 60 < int(turned.sum()) < 140
    assert torch.equal(mirror(ramp, np.random.default_rng(0)), seen)


WORKER = """
import sys, torch
from hwnorm.realign.distributed import average_gradients, is_first, own_share, processes
torch.set_num_threads(1)
layer = torch.nn.Linear(3, 1, bias=False)
layer.weight.data.fill_(1.0)
batch = torch.arange(12.0).view(4, 3)
with processes():
    layer(own_share(batch)).mean().backward()
    average_gradients(layer)
    if is_first():
        print(layer.weight.grad.tolist())
"""


def test_two_processes_average_to_the_gradient_of_the_whole_batch(tmp_path):
    """As torchrun starts them, on the CPU."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[[4.5, 5.5, 6.5]]"


@pytest.mark.parametrize(("own", "type_"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_taken_where_the_processor_has_it(teacher, images, monkeypatch, own, type_):
    """Without it a product in bfloat16 takes over ten times as long as one in float32."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": own})
    student, seen = replaced(teacher), set()
    student.head.register_forward_hook(
        lambda _, given, made: seen.add(made.dtype) if student.training else None
    )
    finetune(student, teacher, sites_of(teacher), images, change(FAST, method="F", epochs=1, amp=True))
    assert seen == {type_}
