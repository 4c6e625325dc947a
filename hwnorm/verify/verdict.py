"""What verification found about one package."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """The outcome of every check on one package; ``verdict.json`` holds it.

    ``codes`` input codes were run through each rendering; ``exhaustive`` says whether these were all.
    ``first_mismatch`` is the input code, the output code expected and the one that Verilator or else
    the HLS program gave (None: no result came). ``comb_differing`` counts the codes for which the
    combinational core gives another result than the stage. ``torch_max_error_ulp`` is the largest distance
    between the datapath and the float PyTorch function, in ulp of the output. ``formal`` says "proven" of
    the combinational core, "not tried", or why there is no proof, which alone is no failure;
    ``formal_counterexample`` is an input code with the output code expected and the one that it gives.
    """

    top: str
    codes: int
    exhaustive: bool
    lint_clean: bool
    lint_message: str
    verilator_bit_exact: bool
    verilator_mismatches: int
    comb_differing: int
    first_mismatch: tuple[int, int, int | None] | None
    latency_expected: int
    latency_measured: int
    full_rate: bool
    protocol_ok: bool
    protocol_message: str
    hls_bit_exact: bool
    hls_mismatches: int
    torch_within_certificate: bool
    torch_max_error_ulp: float
    formal: str
    formal_counterexample: tuple[int, int, int] | None
    tools: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return (
            self.lint_clean
            and self.verilator_bit_exact
            and self.comb_differing == 0
            and self.latency_measured == self.latency_expected
            and self.full_rate
            and self.protocol_ok
            and self.hls_bit_exact
            and self.torch_within_certificate
            and self.formal_counterexample is None
        )

    def problems(self) -> list[str]:
        """One line for each check that did not pass."""
        where = ""
        if self.first_mismatch is not None:
            code, expected, got = self.first_mismatch
            where = f", first at input code {code}: expected {expected}, got {got}"
        latency = self.latency_measured == self.latency_expected
        checks = [
            (self.lint_clean, f"lint: {self.lint_message}"),
            (self.verilator_bit_exact, f"Verilator: {self.verilator_mismatches} results differ{where}"),
            (
                self.comb_differing == 0,
                f"combinational core: {self.comb_differing} results differ from the stage's",
            ),
            (latency, f"latency: {self.latency_measured}, the manifest says {self.latency_expected}"),
            (self.full_rate, "rate: the sweep took more than one cycle a beat"),
            (self.protocol_ok, f"AXI4-Stream: {self.protocol_message}"),
            (self.hls_bit_exact, f"HLS: {self.hls_mismatches} results differ{where}"),
            (
                self.torch_within_certificate,
                f"PyTorch: {self.torch_max_error_ulp:.4f} ulp off, uncertified",
            ),
            (self.formal_counterexample is None, f"combinational core {self.formal}"),
        ]
        return [line for fine, line in checks if not fine]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, ``passed`` among them."""
        return asdict(self) | {"passed": self.passed}
