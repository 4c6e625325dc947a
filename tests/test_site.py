"""The site of documentation: it is built without a warning, holds all pages, and asks no other host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from pages import ROOT
from site_pages import MOVED, PYTHON, commands_page, example_page, files_page, rewritten

import hwnorm
from hwnorm.cli import app

#: Elements and the attribute whose address a browser fetches by itself.
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}


class Fetched(HTMLParser):
    """The addresses that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        # A link of these kinds is followed by people or by nobody.
        if tag in FETCHED and given.get("rel") not in ("canonical", "next", "prev", "alternate"):
            self.found.append(given.get(FETCHED[tag]) or "")


def elsewhere(name: str, text: str) -> list[str]:
    """What a file of a site takes from another host: scripts, styles, fonts, pictures."""
    found = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s;]+)", text)
    if name.endswith(".html"):
        page = Fetched()
        page.feed(text)
        found += page.found
        # The theme's script fetches a program for diagrams, of a page that has one.
        found += ["https:mermaid" for _ in re.findall(r'class="[^"]*\bmermaid\b', text)]
    return [address for address in found if re.match(r"(?:\w+:)?//|https?:", address)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: a warning is an error."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="the extra docs is not installed (make docs)")
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_every_page_is_built(site):
    """Those of docs/, those from the root, and those that are made."""
    wanted = {path.stem for path in (ROOT / "docs").glob("*.md")} | {name[:-3] for name in MOVED}
    wanted |= {"reference/commands", "reference/files", "reference/python"}
    wanted |= {f"examples/{path.stem}" for path in (ROOT / "examples").glob("*.py")}
    for name in wanted:
        assert (site / f"{name}.html").is_file(), name
    assert (site / "images" / "overview.svg").is_file()


def test_no_page_asks_another_host(site):
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css", ".svg")]
    assert len(files) > 20
    for path in files:
        assert elsewhere(path.name, path.read_text(encoding="utf-8")) == [], path


def test_docstrings_are_on_the_page(site):
    """Each name has a heading of its own, and roles have become plain names."""
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in [name for names in PYTHON.values() for name in names]:
        assert f'id="{name}"' in page
    assert "Turn any expression into a verified package." in page
    assert ":class:" not in page


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://example.org/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//example.org/a.css">'),
        ("a.html", '<link rel="preconnect" href="https://example.org">'),
        ("a.html", "<style>@font-face { src: url('https://example.org/a.woff') }</style>"),
        ("a.html", '<pre class="mermaid">graph</pre>'),
        ("a.css", '@import "https://example.org/a.css";'),
    ],
)
def test_another_host_is_found(name, text):
    """A script, a style, a font; links that a reader follows are none."""
    assert elsewhere(name, text) != []
    assert elsewhere("a.html", '<a href="https://example.org">x</a><script src="a.js"></script>') == []


def test_every_command_has_its_section():
    """With every option; what the help shows as an option, the command line takes."""
    page = commands_page()
    known = typer.main.get_command(app).commands
    for name, command in known.items():
        if not hasattr(command, "commands"):
            (section,) = re.findall(rf"^## hwnorm {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
            for param in command.params:
                if param.param_type_name == "option":
                    assert f"`{param.opts[0]}" in section, (name, param.name)
    assert "## hwnorm supernet train" in page
    assert "[default: 2000]" in page.replace("\\", "")
    assert f"default: {os.cpu_count()};" not in page  # of the machine that builds it


def test_every_file_has_its_section():
    """Fields with their types, and links to the types that are no plain ones."""
    page = files_page()
    for path in (ROOT / "hwnorm" / "schemas").glob("*.json"):
        assert f"## {path.stem}\n" in page
    assert "| `cycles_equal` | integer |" in page
    assert "| `picked` | [Point](#engine-point) |" in page
    assert "### engine: Point" in page


def test_what_hwnorm_exports_is_on_the_page_of_python():
    told = {name.rsplit(".", 1)[-1] for names in PYTHON.values() for name in names}
    assert set(hwnorm.__all__) - {"__version__"} <= told


def test_links_lead_within_the_site():
    text = "[a](docs/use.md) ![b](docs/images/x.svg) [c](CONTRIBUTING.md#tests) [d](https://e.org) [e](#f)"
    told = "[a](use.md) ![b](images/x.svg) [c](contributing.md#tests) [d](https://e.org) [e](#f)"
    assert rewritten(text, "index.md") == told
    assert rewritten("[a](../docs/use.md#demo)", "figures.md") == "[a](use.md#demo)"
    assert rewritten("[a](nas.md) [b](../README.md)", "use.md") == "[a](nas.md) [b](index.md)"
    assert rewritten("[a]: docs/use.md", "index.md") == "[a]: use.md"
    assert rewritten("[a](../architecture.md)", "reference/files.md") == "[a](../architecture.md)"


def test_an_example_is_shown_cell_by_cell():
    """Its code is all there, in order: what the page shows is what runs."""
    for path in (ROOT / "examples").glob("*.py"):
        script = path.read_text(encoding="utf-8")
        page = example_page(path.stem, script)
        shown = "\n".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
        code = [line for line in script.splitlines() if line and not line.startswith("#")]
        assert [line for line in shown.splitlines() if line and not line.startswith("#")] == code
        assert page.startswith("# ")
        assert "%%" not in page
    assert "writes it as a script" in page
