"""Import timm where the installed torchvision was built for another torch.

timm imports torchvision, and a torchvision that was built for CUDA cannot load its own compiled
operators into a CPU-only torch: ``import timm`` then dies with
``RuntimeError: operator torchvision::nms does not exist``. None of those operators is needed by a
vision transformer; what is missing is only their *declaration*, on which torchvision registers
shape rules while it is imported. :func:`import_timm` therefore tries the ordinary import first, and
only when it fails in exactly that way declares the operators that torchvision asks for and imports
once more. An installation that is sound is never touched.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

_MISSING = re.compile(r"operator torchvision::\w+ does not exist")
_REGISTERED = re.compile(r"register_(?:meta|fake)\(\"(?:torchvision::)?(\w+)\"\)")


def import_timm() -> ModuleType:
    """Return the ``timm`` module, declaring torchvision's operators if they are missing.

    Raises:
        ImportError, RuntimeError: what timm's own import raises, when the cause is another one.
    """
    try:
        return importlib.import_module("timm")
    except RuntimeError as error:
        if not _MISSING.search(str(error)):
            raise
    _declare_torchvision_operators()
    for name in [n for n in sys.modules if n.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]
    return importlib.import_module("timm")


def _declare_torchvision_operators() -> None:
    """Declare every operator for which torchvision registers a shape rule and that torch lacks."""
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    source = Path(spec.origin).with_name("_meta_registrations.py").read_text(encoding="utf-8")
    for name in sorted(set(_REGISTERED.findall(source))):
        if not hasattr(torch.ops.torchvision, name):
            # The signature does not matter: the operator is never called, only its name is needed.
            torch.library.define(f"torchvision::{name}", "(Tensor input) -> Tensor")
