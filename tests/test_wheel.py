"""The wheel holds everything that hwnorm needs: it works in an environment that knows no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from hwnorm.version import code_digest

CHECKOUT = Path(__file__).parents[1]
SMALL = ["--images", "40", "--population", "8", "--generations", "1", "--input-bits", "12"]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed; its standard output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout without a download."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", folder]
    run(sys.executable, "-m", "pip", "wheel", *options, CHECKOUT, cwd=folder)
    (found,) = folder.glob("hwnorm-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The folder of the commands of a fresh venv with the wheel in it.

    The packages that hwnorm depends on are those of this environment: a .pth file adds its folder
    to the path, and an editable install of hwnorm there is a .pth file too, which is not read then.
    """
    venv = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    commands = venv / "bin"
    options = ["--no-deps", "--no-index", "--quiet"]
    python = ["--python", commands / "python"]
    run(sys.executable, "-m", "pip", *python, "install", *options, wheel, cwd=venv.parent)
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return commands


def test_the_wheel_has_the_digest_of_its_code(installed, tmp_path):
    """Artefacts that a checkout made are those of the wheel that was built of it."""
    text = "from hwnorm.version import code_digest; print(code_digest())"
    assert run(installed / "python", "-c", text, cwd=tmp_path).strip() == code_digest()


def test_the_wheel_carries_what_is_no_python(wheel):
    """Every template, Verilog file and testbench of the checkout; the model, its card and images."""
    carried = {info.filename: info for info in zipfile.ZipFile(wheel).infolist()}
    for folder in ("templates", "rtl", "sim", "examples"):
        files = [path for path in (CHECKOUT / folder).rglob("*") if path.is_file()]
        assert files
        for path in files:
            if "__pycache__" not in path.parts:
                assert f"hwnorm/_resources/{path.relative_to(CHECKOUT)}" in carried
    for name in ("vit_fashion.fp16.safetensors", "fashion_subset.npz", "MODEL_CARD.md"):
        assert (
            carried[f"hwnorm/builtin/{name}"].file_size == (CHECKOUT / "hwnorm/builtin" / name).stat().st_size
        )
    assert "hwnorm/targets/data/xcup.json" in carried
    assert not [name for name in carried if name.startswith("tests/") or name.endswith(".pyc")]


def test_the_fresh_environment_sees_the_wheel_alone(installed, tmp_path):
    """`import hwnorm` finds the venv's copy, and its templates lie inside it."""
    code = "import hwnorm, hwnorm.resources as r; print(hwnorm.__file__); print(r.resource('templates'))"
    for line in run(installed / "python", "-c", code, cwd=tmp_path).splitlines():
        assert Path(line).is_relative_to(installed.parent)
        assert not Path(line).is_relative_to(CHECKOUT)


def test_an_example_from_another_folder(installed, tmp_path):
    """Those that it carries can be written, byte for byte."""
    assert "kernels" in run(installed / "hwnorm", "example", cwd=tmp_path)
    run(installed / "hwnorm", "example", "kernels", cwd=tmp_path)
    assert (tmp_path / "kernels.py").read_bytes() == (CHECKOUT / "examples" / "kernels.py").read_bytes()


def test_compile_from_another_folder(installed, tmp_path):
    """An expression becomes a verified package."""
    formats = ["--input", "s8f5", "--output", "s8f5"]
    command = [installed / "hwnorm", "compile", "2.58*tanh(x)+0.24", *formats, "--out", "kernel"]
    assert "256 codes bit-exact in Verilator and HLS" in run(*command, cwd=tmp_path)
    manifest = json.loads((tmp_path / "kernel" / "manifest.json").read_text())
    assert (manifest["input"], manifest["output"]) == ("s8f5", "s8f5")
    assert json.loads((tmp_path / "kernel" / "verdict.json").read_text())["passed"]


@pytest.mark.slow
def test_main_job_from_another_folder(installed, tmp_path):
    """A small run on the model and the images in the wheel: every kernel that is built passes."""
    printed = run(installed / "hwnorm", "run", "--out", "small", *SMALL, "--jobs", "2", cwd=tmp_path)
    assert "2000 shipped test images" in " ".join(printed.split())
    verdicts = json.loads((tmp_path / "small" / "verdict.json").read_text())["packages"]
    layers = json.loads((tmp_path / "small" / "choice.json").read_text())["layers"]
    built = [layer["top"] for layer in layers if not layer["folded"]]
    assert len(layers) == 13
    assert built
    assert [verdict["top"] for verdict in verdicts] == built
    assert all(verdict["passed"] for verdict in verdicts)
    assert (tmp_path / "small" / "report.html").is_file()
