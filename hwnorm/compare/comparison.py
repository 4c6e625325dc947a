"""``compare.json``: each layer's designs, as synthesis counted them."""

from __future__ import annotations

from hwnorm.artefact import Artefact
from hwnorm.compare.designs import Figures


class Comparison(Artefact):
    """The designs of each layer, LayerNorm first; areas are in the target's ``unit``."""

    KIND = "compare"

    target: str
    unit: str
    lanes: int
    tools: str
    rows: tuple[Figures, ...]

    def totals(self) -> dict[str, dict[str, float]]:
        """For each design the sums over all layers: of area, of cycles to the first result, and of bytes."""
        summed = (
            *("lut", "ff", "dsp", "bram", "area", "latency"),
            *("bytes_per_token", "bytes_unbuffered", "area_cycles"),
        )
        found: dict[str, dict[str, float]] = {}
        for row in self.rows:
            total = found.setdefault(row.design, {})
            for name in summed:
                total[name] = total.get(name, 0) + getattr(row, name)
        return found
