"""What emission, verification, synthesis and comparison know of a piece of hardware on a stream."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from hwnorm.cost.cost import Resources
from hwnorm.datapath.ir import Certificate
from hwnorm.errors import InputError
from hwnorm.fixed import FixedFormat
from hwnorm.kernel.manifest import PackageManifest
from hwnorm.targets.target import Target

#: So many tokens are sent through a kernel that does not say which.
_TOKENS = 64


class StreamKernel(ABC):
    """An AXI4-Stream stage: its Verilog and its meaning. A token is ``beats`` beats of ``lanes`` elements.

    The contract of the Verilog module ``top``, which ``sim/test_axis.py`` tests: ports ``aclk``, ``aresetn``
    (synchronous, active low, at any time), ``s_axis_*`` and ``m_axis_*``, each with TDATA, TVALID, TREADY,
    TLAST and TUSER, and TKEEP where it ``keeps``. Every beat in gives one beat out; tokens are counted in
    beats from reset on, and TLAST, TUSER and what TKEEP says of each element come out with the beat they
    came in with. An element takes whole bytes of TDATA, sign-extended (an unsigned one zero-extended), lane 0
    lowest. Where nobody stalls a beat a cycle goes in and out, and the first result follows the first beat
    after ``latency`` cycles. ``USER_WIDTH`` is a parameter of every module.

    A subclass of its own ``kind`` is all that a new sort of kernel needs; ``hwnorm.kernel.kinds`` finds it.

    Args:
        top: the Verilog module.
        input: format of an element.
        output: format of a result.
        lanes: elements a beat.
        beats: beats a token.
        latency: cycles from a token's first beat to its first result.
        expression: what it computes, in one line.
        parameters: of the Verilog module, by name; ``USER_WIDTH`` is not among them.
        note: lines about where it is used.
        target: what it was made for; None if it was made for nothing in particular.
        clock_mhz: in MHz, likewise.

    Raises:
        InputError: ``top`` is no name for a module, or a count is below 1.
    """

    #: Names the sort of kernel in a manifest, and its description: ``KIND.json`` in a package.
    kind: ClassVar[str]
    #: How often a token is read where no memory on the chip holds it.
    passes: ClassVar[int] = 1
    #: Its ports beside those of the contract: what each is, for the package's page.
    ports: ClassVar[Mapping[str, str]] = {}
    #: Whether it has TKEEP: elements of a beat may be missing.
    keeps: ClassVar[bool] = False

    def __init__(
        self,
        *,
        top: str,
        input: FixedFormat,
        output: FixedFormat,
        lanes: int,
        beats: int,
        latency: int,
        expression: str,
        parameters: Mapping[str, int] | None = None,
        note: str = "",
        target: str | None = None,
        clock_mhz: float | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", top):
            raise InputError(f"top {top!r}: not a name for a Verilog module (letters, digits, _; no keyword)")
        for name, count in (("lanes", lanes), ("beats", beats), ("latency", latency)):
            if count < 1:
                raise InputError(f"{name} {count}: at least 1 is needed")
        self.top = top
        self.input = input
        self.output = output
        self.lanes = lanes
        self.beats = beats
        self.latency = latency
        self.expression = expression
        self.parameters = dict(parameters or {})
        self.note = note
        self.target = target
        self.clock_mhz = clock_mhz

    # --- what it is ------------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, tokens: np.ndarray) -> np.ndarray:
        """What the hardware gives, bit for bit: the definition of the kernel.

        Args:
            tokens: input codes, integers of shape (tokens, beats * lanes), in the order of the stream.

        Returns:
            output codes, int64, of the same shape.
        """

    @abstractmethod
    def sources(self) -> dict[str, str]:
        """The Verilog that synthesis needs: text by the name of the file, that of ``top`` first."""

    @abstractmethod
    def description(self) -> Any:
        """JSON that :meth:`from_description` makes an equal kernel of."""

    @classmethod
    @abstractmethod
    def from_description(cls, data: Any, manifest: PackageManifest) -> StreamKernel:
        """The kernel of a package.

        Args:
            data: what ``KIND.json`` holds; anything at all.
            manifest: for what does not stand there, such as ``top`` and ``note``.

        Raises:
            ValueError: ``data`` is no such description; one line that begins with the field.
        """

    # --- what may be known of it -----------------------------------------------------------------------

    def memories(self) -> dict[str, str]:
        """Files that the Verilog reads with ``$readmemh``: text by name."""
        return {}

    def files(self) -> dict[str, str]:
        """What else its package holds: text by name, such as ``hls/TOP.cpp``."""
        return {}

    @property
    def certificate(self) -> Certificate | None:
        """What is certified of its error; None if nothing is."""
        return None

    def resources(self, target: Target) -> Resources | None:
        """What the whole stage is predicted to take; None if nobody can tell."""
        return None

    def fmax_mhz(self, target: Target) -> float | None:
        """The clock that it is predicted to reach; None if nobody can tell."""
        return None

    # --- what it is tried with -------------------------------------------------------------------------

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random tokens: codes, int64, of shape (count, beats * lanes)."""
        shape = count, self.beats * self.lanes
        return rng.integers(self.input.min_code, self.input.max_code + 1, size=shape)

    def to_send(self, seed: int) -> np.ndarray:
        """The tokens that verification sends, of the shape that :meth:`evaluate` takes."""
        return self.sample(_TOKENS, np.random.default_rng(seed))

    @property
    def exhaustive(self) -> bool:
        """Whether :meth:`to_send` gives all inputs that there are."""
        return False

    def __repr__(self) -> str:
        ports = f"{self.input} to {self.output}, {self.lanes} lanes, {self.beats} beats a token"
        return f"{type(self).__name__}({self.top!r}, {ports})"
