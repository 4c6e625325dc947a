"""What verification found about one package."""

from __future__ import annotations

from typing import Any

from pydantic import computed_field, model_validator

from hwnorm.artefact import Artefact


class Verdict(Artefact):
    """The outcome of every check on one package; ``verdict.json`` holds it.

    ``codes`` beats were run through each rendering; ``exhaustive`` says whether these were all inputs.
    ``first_mismatch`` is the input code, the output code expected and the one that Verilator or else
    the HLS program gave (None: no result came). ``comb_differing`` counts the codes for which the
    combinational core gives another result than the stage. ``hls_message`` is what the package's own
    testbench in C++, which runs the stage too, complained of; empty if of nothing. ``torch_max_error_ulp``
    is the largest distance between the datapath and the float PyTorch function, in ulp of the output.
    ``formal`` says "proven" of the combinational core, "not tried", or why there is no proof, which alone
    is no failure; ``formal_counterexample`` is an input code with the output code expected and the one that
    it gives.
    ``comb_...``, ``hls_...`` and ``torch_...`` are None of a kernel that has no such rendering.
    """

    KIND = "verdict"

    top: str
    codes: int
    exhaustive: bool
    lint_clean: bool
    lint_message: str
    verilator_bit_exact: bool
    verilator_mismatches: int
    comb_differing: int | None = None
    first_mismatch: tuple[int, int, int | None] | None
    latency_expected: int
    latency_measured: int
    full_rate: bool
    protocol_ok: bool
    protocol_message: str
    hls_bit_exact: bool | None = None
    hls_mismatches: int | None = None
    hls_message: str | None = None
    torch_within_certificate: bool | None = None
    torch_max_error_ulp: float | None = None
    formal: str = "not tried"
    formal_counterexample: tuple[int, int, int] | None = None
    tools: dict[str, str]

    @model_validator(mode="before")
    @classmethod
    def _without_passed(cls, data: Any) -> Any:
        """Files say ``passed`` too; it follows from the rest."""
        return {k: v for k, v in data.items() if k != "passed"} if isinstance(data, dict) else data

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return (
            self.lint_clean
            and self.verilator_bit_exact
            and not self.comb_differing
            and self.latency_measured == self.latency_expected
            and self.full_rate
            and self.protocol_ok
            and self.hls_bit_exact is not False
            and self.torch_within_certificate is not False
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
                not self.comb_differing,
                f"combinational core: {self.comb_differing} results differ from the stage's",
            ),
            (latency, f"latency: {self.latency_measured}, the manifest says {self.latency_expected}"),
            (self.full_rate, "rate: the sweep took more than one cycle a beat"),
            (self.protocol_ok, f"AXI4-Stream: {self.protocol_message}"),
            (not self.hls_mismatches, f"HLS: {self.hls_mismatches} results differ{where}"),
            (not self.hls_message, f"HLS testbench: {self.hls_message}"),
            (
                self.torch_within_certificate is not False,
                f"PyTorch: {self.torch_max_error_ulp or 0:.4f} ulp off, uncertified",
            ),
            (self.formal_counterexample is None, f"combinational core {self.formal}"),
        ]
        return [line for fine, line in checks if not fine]


class Verdicts(Artefact):
    """The verdicts of all packages of a run."""

    KIND = "verdicts"

    packages: tuple[Verdict, ...]
