"""Emission: a kernel becomes a package of Verilog, testbenches and a manifest; a datapath of HLS C++ too."""

from hwnorm.emit.package import emit_kernel, emit_package
from hwnorm.emit.stage import DatapathStage

__all__ = ["DatapathStage", "emit_kernel", "emit_package"]
