"""Kills a search with SIGKILL at random moments, and holds its front against that of one left alone.

.venv/bin/python benchmarks/nas_kills.py SPACE.toml [--kills 5] [--seed 0] [--work build/nas_kills]

The space file names its data by an absolute path, or none. Both searches run in folders of their own, with 2
processes, which end with their parent. Compared are `front.json` without its head, and the scores.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hwnorm.files import body, read_artefact
from hwnorm.nas.nas import FRONT
from hwnorm.nas.stored import SCORES, Scores

HWNORM = Path(sys.executable).with_name("hwnorm")


def start(space: Path) -> subprocess.Popen[bytes]:
    """The search, in a process group of its own."""
    quiet = subprocess.DEVNULL
    command = [str(HWNORM), "nas", str(space), "--jobs", "2"]
    return subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)


def found(space: Path) -> tuple[dict[str, Any], dict[Any, Any]]:
    """The front and the scores of a study."""
    folder = space.with_suffix("")
    return body(read_artefact(folder / FRONT, "nas_front")), Scores(folder / SCORES).known


def main() -> None:
    """Print when it was killed, and whether both ended alike; exit 1 if not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("build/nas_kills"), help="folder; it is replaced")
    options = parser.parse_args()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    alone, killed = (options.work / name for name in ("alone.toml", "killed.toml"))
    for path in (alone, killed):
        shutil.copyfile(options.space, path)
    began = time.monotonic()
    if start(alone).wait():
        sys.exit(f"hwnorm nas {alone} failed")
    seconds = time.monotonic() - began
    print(f"left alone: {seconds:.0f} s")
    draw = random.Random(options.seed)
    for number in range(options.kills):
        process = start(killed)
        after = draw.uniform(0.1, 0.9) * seconds / options.kills * 2
        time.sleep(after)
        ended = process.poll() is not None
        if not ended:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        scores = killed.with_suffix("") / SCORES
        lines = len(scores.read_bytes().splitlines()) if scores.is_file() else 0
        print(f"kill {number + 1}: after {after:.0f} s, {lines} scores{', it had ended' if ended else ''}")
    if start(killed).wait():
        sys.exit(f"hwnorm nas {killed} failed")
    same = found(alone) == found(killed)
    print("the same front and the same scores" if same else "ANOTHER front or other scores")
    sys.exit(not same)


if __name__ == "__main__":
    main()
