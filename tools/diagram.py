"""Draws docs/images/overview.svg, the block diagram of the README.

python tools/diagram.py

The picture has a background of its own and two sets of greys, for light and for dark pages. Nothing in it
is told by colour alone: what goes in or comes out is rounded, what hwnorm does is square.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

PLACE = Path(__file__).parents[1] / "docs" / "images" / "overview.svg"
WIDTH, HEIGHT = 940, 372

STYLE = """
  .page { fill: #ffffff } .box { fill: #f2f2f2; stroke: #333333 } .end { fill: #ffffff; stroke: #333333 }
  .check { fill: #dddddd; stroke: #333333 } text { fill: #111111; font: 13px sans-serif; text-anchor: middle }
  .title { font-weight: bold; font-size: 15px } .line { stroke: #333333; fill: none } .tip { fill: #333333 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #111111 } .box { fill: #2b2b2b; stroke: #cccccc } .end { fill: #111111; stroke: #cccccc }
    .check { fill: #444444; stroke: #cccccc } text { fill: #eeeeee } .line { stroke: #cccccc }
    .tip { fill: #cccccc }
  }
"""


@dataclass(frozen=True)
class Box:
    """A block: its corner, its size, its class of STYLE, and its lines, the first of which is its title."""

    x: int
    y: int
    width: int
    height: int
    kind: str
    lines: tuple[str, ...]

    def svg(self) -> list[str]:
        """Its elements."""
        corner = 16 if self.kind == "end" else 0
        middle = self.x + self.width / 2
        first = self.y + self.height / 2 - 9 * (len(self.lines) - 1) + 5
        return [
            f'<rect class="{self.kind}" x="{self.x}" y="{self.y}" width="{self.width}" '
            f'height="{self.height}" rx="{corner}"/>',
            *(
                f'<text{" class=" + chr(34) + "title" + chr(34) if i == 0 else ""} x="{middle:g}" '
                f'y="{first + 18 * i:g}">{escape(line)}</text>'
                for i, line in enumerate(self.lines)
            ),
        ]


BOXES = (
    Box(20, 60, 150, 92, "end", ("trained ViT", "timm model", "weights, images")),
    Box(210, 60, 150, 92, "box", ("functions", "evolved, one a layer,", "for each LayerNorm")),
    Box(400, 60, 150, 92, "box", ("re-alignment", "linear layers refitted,", "no gradient step")),
    Box(590, 60, 150, 92, "box", ("integers", "rows of 4 or 8 bits,", "softmax, GELU too")),
    Box(780, 60, 140, 92, "box", ("engine", "fastest in a budget,", "cycles predicted")),
    Box(210, 200, 150, 74, "end", ("kernels", "Verilog, HLS C++")),
    Box(400, 200, 150, 74, "end", ("PyTorch module", "weights to deploy")),
    Box(590, 200, 150, 74, "end", ("integer network", "NumPy, C++")),
    Box(780, 200, 140, 74, "end", ("accelerator", "Verilog, HLS C++,", "program, driver")),
    Box(210, 314, 710, 42, "check", ("checked bit for bit: every input code; every logit, every cycle",)),
)
#: The points of each arrow; the last one is its tip.
ARROWS = (
    *(((x, 106), (x + 40, 106)) for x in (170, 360, 550, 740)),
    *(((x, 152), (x, 200)) for x in (285, 475, 665, 850)),
    *(((x, 314), (x, 274)) for x in (285, 475, 665, 850)),
    ((850, 60), (850, 34), (95, 34), (95, 60)),
)
LABEL = (472, 26, "architecture search: subnets with little loss and few cycles")


def _arrow(points: tuple[tuple[int, int], ...]) -> list[str]:
    (x0, y0), (x, y) = points[-2:]
    way = (x > x0) - (x < x0), (y > y0) - (y < y0)
    back = x - 8 * way[0], y - 8 * way[1]
    side = 4 * way[1], 4 * way[0]
    path = " ".join(f"{a},{b}" for a, b in (*points[:-1], back))
    tip = f"{x},{y} {back[0] + side[0]},{back[1] + side[1]} {back[0] - side[0]},{back[1] - side[1]}"
    return [f'<polyline class="line" points="{path}"/>', f'<polygon class="tip" points="{tip}"/>']


def draw() -> str:
    """The picture as SVG."""
    title = "From a trained vision transformer to kernels, an integer network and an accelerator"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{title}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
    ]
    for points in ARROWS:
        lines += _arrow(points)
    for box in BOXES:
        lines += box.svg()
    lines += [f'<text x="{LABEL[0]}" y="{LABEL[1]}">{LABEL[2]}</text>', "</svg>"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(draw(), encoding="utf-8")
