"""The sorts of kernels that there are, by the name that stands in a manifest."""

from __future__ import annotations

import importlib

from hwnorm.errors import InputError
from hwnorm.kernel.stream import StreamKernel

#: The modules of hwnorm that define one; they lie above this package and are imported when asked for.
_MODULES = ("hwnorm.emit.stage", "hwnorm.layernorm.kernel", "hwnorm.share.kernel")


def kernel_kinds() -> dict[str, type[StreamKernel]]:
    """Kind -> class, sorted: those of hwnorm, and every other that has been imported."""
    for module in _MODULES:
        importlib.import_module(module)
    found: dict[str, type[StreamKernel]] = {}
    pending = list(StreamKernel.__subclasses__())
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        if "kind" in vars(kind):
            found[kind.kind] = kind
    return dict(sorted(found.items()))


def kernel_kind(name: str) -> type[StreamKernel]:
    """The class of that kind.

    Raises:
        InputError: there is none.
    """
    kinds = kernel_kinds()
    if name not in kinds:
        raise InputError(f"kernel {name!r}: unknown kind; there are {', '.join(kinds)}")
    return kinds[name]
