"""What the site has beside docs/: pages from the root, and pages that are made at every build.

MkDocs runs it as a hook (``mkdocs.yml``). Examples are shown as they run. Commands come from the command
line itself, files from ``hwnorm/schemas/``, the Python interface from the list below and docstrings: none of
them can go stale.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Pages of the site that lie outside of docs/ in the repository.
MOVED = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "figures.md": "benchmarks/README.md",
}
#: Files that pages link to, which are no pages.
ASSETS = ("CITATION.cff",)
#: The Python interface: headings, and what stands below them.
PYTHON = {
    "The main job and kernels": (
        "hwnorm.api.run",
        "hwnorm.stages.main.Finished",
        "hwnorm.stages.compile.compile",
        "hwnorm.stages.compile.Compiled",
        "hwnorm.runs.settings.RunSettings",
    ),
    "Networks": (
        "hwnorm.network.replacement.replace",
        "hwnorm.network.replacement.realigned",
        "hwnorm.api.integer",
        "hwnorm.integers.network.IntegerNetwork",
    ),
    "Operators and kernels of your own": (
        "hwnorm.operators.base.Operator",
        "hwnorm.operators.base.TableFunction",
        "hwnorm.operators.base.Lowering",
        "hwnorm.kernel.stream.StreamKernel",
        "hwnorm.testing.operators.check_operator",
        "hwnorm.testing.kernels.check_kernel",
    ),
    "Errors": ("hwnorm.errors.InputError", "hwnorm.tools.ToolError"),
}
MADE = "This page is made of the code when the site is built.\n"


def source_of(page: str) -> str:
    """Where a page of the site lies in the repository."""
    return MOVED.get(page, f"docs/{page}")


def rewritten(text: str, page: str) -> str:
    """The text of a page with its links to files of the repository as links within the site."""
    placed = {source: name for name, source in MOVED.items()}

    def link(match: re.Match[str]) -> str:
        target, heading = match[2], match[3] or ""
        if not target or re.match(r"\w+:", target):
            return match[0]
        found = posixpath.normpath(posixpath.join(posixpath.dirname(source_of(page)), target))
        found = placed.get(found, found.removeprefix("docs/"))
        return f"{match[1]}{posixpath.relpath(found, posixpath.dirname(page) or '.')}{heading}"

    return re.sub(r"(\]\(|^\[[^\]]+\]: )([^)#\s]*)(#[^)\s]*)?(?=\)|$)", link, text, flags=re.MULTILINE)


def _prose(text: str) -> str:
    """Text of the code as Markdown: roles become plain names, nothing else has a meaning but backticks."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", " ".join(text.split())).replace("``", "`")
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<>|\[\]])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """A table without the columns that are empty."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    if kept:
        yield f"| {' | '.join(head[i] for i in kept)} |"
        yield f"|{'---|' * len(kept)}"
        yield from (f"| {' | '.join(row[i] for i in kept)} |" for row in rows)
        yield ""


def commands_page() -> str:
    """Every command, with its arguments and options."""
    import typer

    from hwnorm.cli import app

    lines = ["# Commands", "", MADE]
    lines += _commands(typer.main.get_command(app), "hwnorm")
    return "\n".join(lines)


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        here = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, here)
            continue
        context = type(command).context_class(command, info_name=here)
        yield from (f"## {here}", "", _prose(command.help or ""), "")
        usage = " ".join([here, *command.collect_usage_pieces(context)])
        yield from ("```text", usage, "```", "")
        records = [param.get_help_record(context) for param in command.params]
        yield from _table(
            ("argument or option", ""),
            [(f"`{names}`", _prose(text)) for names, text in filter(None, records)],
        )


def files_page() -> str:
    """Every JSON file that hwnorm writes: its fields, by its schema."""
    lines = ["# File formats", "", MADE]
    lines += [
        "Every file begins with `kind`, `schema`, `hwnorm_version`, `seed` and `made_from`",
        "([the run folder](../architecture.md#the-run-folder)). The schemas are `hwnorm/schemas/KIND.json`.",
        "",
    ]
    for path in sorted((ROOT / "hwnorm" / "schemas").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        lines += [f"## {path.stem}", "", _prose(schema.get("description", "")), ""]
        own = {name: field for name, field in schema["properties"].items() if name not in _HEAD}
        lines += _fields(own, schema.get("required", []), path.stem)
        for name, part in sorted(schema.get("$defs", {}).items()):
            lines += [f"### {path.stem}: {name}", "", _prose(part.get("description", "")), ""]
            if "properties" in part:
                lines += _fields(part["properties"], part.get("required", []), path.stem)
            else:
                lines += [_type(part, path.stem), ""]
    return "\n".join(lines)


_HEAD = ("kind", "schema", "hwnorm_version", "seed", "made_from")


def _fields(fields: dict[str, Any], required: list[str], kind: str) -> Iterator[str]:
    rows = []
    for name, field in fields.items():
        default = "" if name in required or "default" not in field else f"`{json.dumps(field['default'])}`"
        rows.append((f"`{name}`", _type(field, kind), default, _prose(field.get("description", ""))))
    yield from _table(("field", "type", "default", ""), rows)


def _type(field: dict[str, Any], kind: str) -> str:
    """The type of a field in words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{kind}-{name.lower()})"
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    for union in ("anyOf", "oneOf"):
        if union in field:
            return " or ".join(_type(part, kind) for part in field[union])
    found = field.get("type", "any")
    if isinstance(found, list):
        return " or ".join(found)
    if found == "array":
        if "prefixItems" in field:
            return f"array of {', '.join(_type(part, kind) for part in field['prefixItems'])}"
        return f"array of {_type(field.get('items', {}), kind)}"
    if found == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"object of {_type(field['additionalProperties'], kind)}"
    return str(found)


def python_page() -> str:
    """The Python interface; mkdocstrings puts the docstrings in."""
    lines = ["# Python", "", MADE]
    lines += ["`hwnorm` itself has `compile`, `integer`, `realigned`, `replace` and `run`.", ""]
    for heading, names in PYTHON.items():
        lines += [f"## {heading}", ""]
        for name in names:
            lines += [f"::: {name}", "    options:", "      heading_level: 3", ""]
    return "\n".join(lines)


def example_page(name: str, script: str) -> str:
    """An example as a page: prose of its cells, and their code."""
    lines = []
    for kind, cell in re.findall(
        r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", script, flags=re.MULTILINE | re.DOTALL
    ):
        if kind:
            lines.append(re.sub(r"^# ?", "", cell.strip(), flags=re.MULTILINE))
        else:
            lines.append(f"```python\n{cell.strip()}\n```")
        lines.append("")
    lines[1:1] = [f"`hwnorm example {name}` writes it as a script, which opens as a notebook too.", ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """All that the site has and docs/ has not, by place."""
    found = {name: (ROOT / source).read_text(encoding="utf-8") for name, source in MOVED.items()}
    found |= {name: (ROOT / name).read_text(encoding="utf-8") for name in ASSETS}
    for path in sorted((ROOT / "examples").glob("*.py")):
        found[f"examples/{path.stem}.md"] = example_page(path.stem, path.read_text(encoding="utf-8"))
    found["reference/commands.md"] = commands_page()
    found["reference/files.md"] = files_page()
    found["reference/python.md"] = python_page()
    return found


def on_files(files: Any, config: Any) -> Any:
    """Called by MkDocs: add the pages."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs: let links lead within the site."""
    return rewritten(markdown, page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Called by MkDocs: roles of docstrings are plain names, as `_prose` has them."""
    return re.sub(r":(?:class|func|data|meth|mod|attr):(?=<code>)", "", html)
