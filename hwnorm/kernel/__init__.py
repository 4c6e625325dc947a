"""A stream kernel: what is emitted, verified, synthesized and compared, whatever it computes."""

from hwnorm.kernel.stream import StreamKernel

__all__ = ["StreamKernel"]
