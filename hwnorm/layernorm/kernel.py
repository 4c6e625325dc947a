"""``rtl/layernorm.v`` as a stream kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwnorm.artefact import first_fault
from hwnorm.datapath.ir import Certificate
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.manifest import PackageManifest
from hwnorm.kernel.stream import StreamKernel
from hwnorm.layernorm.design import LayerNormDesign
from hwnorm.layernorm.model import evaluate
from hwnorm.layernorm.tokens import hard_tokens
from hwnorm.resources import resource

#: So many hard tokens are sent for verification.
_TOKENS = 40
_FEWEST_HARD = 16


class _Description(BaseModel):
    """``layernorm.json``: the design, and gamma and beta as codes."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    channels: int
    lanes: int
    input: FixedFormat
    output: FixedFormat
    gamma: FixedFormat | None
    beta: FixedFormat | None
    eps: Annotated[float, Field(ge=0)]
    gamma_codes: tuple[int, ...] | None
    beta_codes: tuple[int, ...] | None


class LayerNormKernel(StreamKernel):
    """A LayerNorm over the ``channels`` of each token, ``lanes`` of them a beat.

    Args:
        design: what ``rtl/layernorm.v`` is built for.
        gamma, beta: codes in the design's formats, of shape (channels,); None where it has none.
        note: lines about where it is used.

    Raises:
        InputError: gamma or beta is missing, is too many, or leaves its format.
    """

    kind = "layernorm"
    #: For the statistics, and again for the results.
    passes = 2
    ports: ClassVar[Mapping[str, str]] = {
        "event_tlast_unexpected": "out; rises with a TLAST on a beat that ends no token, and stays until "
        "reset: the stream counts its tokens otherwise, and results from that token on are void"
    }

    def __init__(
        self,
        design: LayerNormDesign,
        gamma: np.ndarray | Sequence[int] | None = None,
        beta: np.ndarray | Sequence[int] | None = None,
        note: str = "",
    ) -> None:
        affine = "" if design.gamma is None else " * gamma + beta"
        super().__init__(
            top="layernorm",
            input=design.input,
            output=design.output,
            lanes=design.lanes,
            beats=design.beats,
            latency=design.latency,
            expression=f"(x - mean) / sqrt(variance + {design.eps:g}){affine}",
            parameters=design.parameters(),
            note=note,
        )
        self.design = design
        self.gamma = _checked("gamma", gamma, design.gamma, design.channels)
        self.beta = _checked("beta", beta, design.beta, design.channels)

    def evaluate(self, tokens: np.ndarray) -> np.ndarray:
        return evaluate(self.design, tokens, self.gamma, self.beta)

    def sources(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in self.design.sources}

    def memories(self) -> dict[str, str]:
        """``gamma.hex`` and ``beta.hex``: a word a beat, lane 0 lowest, elements side by side."""
        affine = ("gamma", self.gamma, self.design.gamma), ("beta", self.beta, self.design.beta)
        return {
            f"{name}.hex": _words(codes.reshape(-1, self.lanes), fmt)
            for name, codes, fmt in affine
            if codes is not None and fmt is not None
        }

    def files(self) -> dict[str, str]:
        return {"sim/test_tokens.py": (resource("sim") / "test_tokens.py").read_text(encoding="utf-8")}

    def description(self) -> Any:
        design = self.design
        return _Description(
            channels=design.channels,
            lanes=design.lanes,
            input=design.input,
            output=design.output,
            gamma=design.gamma,
            beta=design.beta,
            eps=design.eps,
            gamma_codes=None if self.gamma is None else tuple(self.gamma.tolist()),
            beta_codes=None if self.beta is None else tuple(self.beta.tolist()),
        ).model_dump(mode="json")

    @classmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> LayerNormKernel:
        try:
            told = _Description.model_validate(data)
            formats = told.input, told.output, told.gamma, told.beta
            design = LayerNormDesign(told.channels, told.lanes, *formats, told.eps)
            return cls(design, told.gamma_codes, told.beta_codes, manifest.note)
        except ValidationError as error:
            raise ValueError(first_fault(error)) from None
        except InputError as error:
            raise ValueError(str(error)) from None

    @property
    def certificate(self) -> Certificate:
        """The bound of ``docs/layernorm.md``: 5/8 ulp, and what the reciprocal square root errs by.

        That is 1.2 * 2^-bits of z gamma, which is at most the output's full scale and beta: what is beyond
        saturates.
        """
        full = float(1 << (self.output.width - 1))
        if self.beta is not None and self.design.beta is not None:
            full += float(np.abs(self.beta).max()) * self.design.beta.ulp / self.output.ulp
        bound = 5 / 8 + 1.2 * 2.0**-self.design.r_width * full
        return Certificate(bound, None, None, 1 << self.input.width, exhaustive=False)

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Hard tokens: outliers, constants, the format's ends, any scale that it holds."""
        seed = int(rng.integers(1 << 31))
        return hard_tokens(self.design, max(count, _FEWEST_HARD), seed)[:count]

    def to_send(self, seed: int) -> np.ndarray:
        return hard_tokens(self.design, _TOKENS, seed)


def _checked(
    name: str, codes: np.ndarray | Sequence[int] | None, fmt: FixedFormat | None, channels: int
) -> np.ndarray | None:
    if (codes is None) != (fmt is None):
        what = "codes but no format" if fmt is None else "a format but no codes"
        raise InputError(f"LayerNorm: {name} has {what}; both or neither are needed")
    if codes is None or fmt is None:
        return None
    found = np.asarray(codes, dtype=np.int64)
    if found.shape != (channels,):
        raise InputError(f"LayerNorm: {name} of shape {found.shape}; ({channels},) was expected")
    if found.min() < fmt.min_code or found.max() > fmt.max_code:
        raise InputError(f"LayerNorm: {name} {found.min()} to {found.max()}; {fmt} does not hold it")
    return found


def _words(codes: np.ndarray, fmt: FixedFormat) -> str:
    mask, digits = (1 << fmt.width) - 1, -(-fmt.width * codes.shape[1] // 4)
    words = (sum((c & mask) << (fmt.width * i) for i, c in enumerate(row)) for row in codes.tolist())
    return "".join(f"{word:0{digits}x}\n" for word in words)
