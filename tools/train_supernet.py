"""Train the built-in model's supernet: ``python tools/train_supernet.py --data DIR [--work build/supernet]``.

DIR holds the four idx files of Fashion-MNIST. The space is the preset ``builtin``, the recipe that of
``hwnorm supernet train``. Training that was stopped goes on; three quarters of an hour on one core.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from hwnorm.builtin import model as builtin
from hwnorm.nas.spacefile import read_space
from hwnorm.nas.train import train_supernet

SPACE = """[space]
preset = "builtin"

[run]
data = "{data}"
images = 2000
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Train the supernet that is shipped.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four idx files")
    parser.add_argument("--work", type=Path, default=Path("build/supernet"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "builtin.toml"
    path.write_text(SPACE.format(data=args.data.absolute()), encoding="utf-8")
    folder = train_supernet(read_space(path))
    shutil.rmtree(builtin.SUPERNET, ignore_errors=True)
    shutil.copytree(folder, builtin.SUPERNET)
    size = sum(file.stat().st_size for file in builtin.SUPERNET.iterdir())
    print(f"wrote {builtin.SUPERNET}: {size:,} bytes")


if __name__ == "__main__":
    main()
