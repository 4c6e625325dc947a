"""hwnorm: streaming stand-ins for the norm layers of a trained vision transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnorm.version import VERSION as __version__

if TYPE_CHECKING:
    from hwnorm.network.replacement import replace

__all__ = ["__version__", "replace"]


def __getattr__(name: str) -> Any:
    # torch is imported when it is needed: the command line answers --help without it.
    if name == "replace":
        from hwnorm.network.replacement import replace

        return replace
    raise AttributeError(f"module 'hwnorm' has no attribute {name!r}")
