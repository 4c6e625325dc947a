"""NumPy archives open like the other formats; what does not fit is named."""

from __future__ import annotations

import numpy as np
import pytest

from hwnorm.data.images import load_images
from hwnorm.errors import InputError


def arrays(shape: tuple[int, ...], count: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {}
    for i, split in enumerate(("train", "test")):
        made[f"{split}_images"] = rng.integers(0, 256, (count + i, *shape), np.uint8)
        made[f"{split}_labels"] = np.arange(count + i)
    return made


@pytest.mark.parametrize("shape", [(28, 28), (20, 30), (28, 28, 1), (28, 28, 3)])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_colour_come_to_the_models_size(tmp_path, small_vit, shape, channels):
    stored = arrays(shape)
    np.savez(tmp_path / "a.npz", **stored)
    model = small_vit(in_chans=channels)
    test = load_images(tmp_path / "a.npz", "test", model)
    ((pixels, labels),) = test.batches(10)
    assert pixels.shape == (4, channels, 28, 28)
    assert labels.tolist() == [0, 1, 2, 3]
    if shape[:2] == (28, 28):
        # What was a grey level comes back from the normalized pixels.
        back = pixels[0].mean(0) * test.config["std"][0] + test.config["mean"][0]
        grey = stored["test_images"][0].reshape(28, 28, -1).mean(-1) / 255
        if channels == 1:
            np.testing.assert_allclose(back.numpy(), grey, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"train_images": None}, "no array 'train_images'"),
        ({"train_labels": None}, "no array 'train_labels'"),
        ({"train_images": np.zeros((3, 28, 28))}, r"train_images is float64 \(3, 28, 28\); uint8"),
        ({"train_images": np.zeros((3, 28, 28, 4), np.uint8)}, r"uint8 \(3, 28, 28, 4\)"),
        ({"train_images": np.zeros((0, 28, 28), np.uint8)}, r"uint8 \(0, 28, 28\)"),
        ({"train_labels": np.arange(2)}, "3 integers were expected"),
        ({"train_labels": np.array([0, 1, 10])}, "runs from 0 to 10; the model tells 10 classes apart"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, small_vit, change, complaint):
    stored = {k: v for k, v in (arrays((28, 28)) | change).items() if v is not None}
    path = tmp_path / "a.npz"
    np.savez(path, **stored)
    with pytest.raises(InputError, match=complaint) as caught:
        load_images(path, "train", small_vit())
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and no more"])
def test_what_is_no_archive_is_named(tmp_path, small_vit, content):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: cannot be read as a NumPy archive"):
        load_images(path, "train", small_vit())
