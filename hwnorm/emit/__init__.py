"""Emission: a datapath becomes a package of Verilog, HLS C++, a testbench and a manifest."""

from hwnorm.emit.package import emit_package

__all__ = ["emit_package"]
