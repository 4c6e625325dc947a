"""Which class a folder's images are of: one numbering for all splits of a tree, told by names."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from hwnorm.errors import InputError
from hwnorm.timm_compat import import_timm

#: The folders between a split and an image, outermost first.
Names = tuple[str, ...]
#: What people call splits: folders of two such names side by side are hardly two classes.
SPLIT_NAMES = frozenset(
    ("train", "training", "val", "valid", "validation", "eval", "evaluation", "dev", "test", "testing")
)
_MOST_NAMED = 3
_ASK = (
    "--classes FILE tells (one name a line in the order of the model's outputs, or a JSON of name to index)"
)


@dataclass(frozen=True)
class Numbering:
    """The label of each folder that holds images, and where it comes from, for people."""

    labels: Mapping[Names, int]
    told: str


def read_classes(path: Path) -> dict[str, int]:
    """Name -> index from a file: one name a line, or a JSON object (or list) of them.

    Raises:
        InputError: it cannot be read, names a class twice, or has an index that is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"option --classes: {path}: cannot be read ({reason})") from None
    json_text = path.suffix == ".json" or text.lstrip().startswith("{")
    found = _from_json(path, text) if json_text else _from_lines(path, text)
    if not found:
        raise InputError(f"option --classes: {path}: names no class; one name a line was expected")
    return found


def _from_lines(path: Path, text: str) -> dict[str, int]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    return _listed(path, lines)


def _listed(path: Path, names: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name:
            raise InputError(f"option --classes: {path}: line {index + 1} is empty; a line is a class's name")
        if name in found:
            raise InputError(
                f"option --classes: {path}: {name!r} stands on lines {found[name] + 1} and {index + 1}; "
                "a class has one index"
            )
        found[name] = index
    return found


def _from_json(path: Path, text: str) -> dict[str, int]:
    try:
        data = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except ValueError as error:
        raise InputError(f"option --classes: {path}: no JSON ({error})") from None
    if isinstance(data, list) and data and all(isinstance(name, str) for name in data):
        return _listed(path, data)
    pairs = data if isinstance(data, list) else []
    if not pairs or not all(isinstance(pair, tuple) for pair in pairs):
        raise InputError(f"option --classes: {path}: an object of name to index was expected")
    found: dict[str, int] = {}
    for name, index in pairs:
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise InputError(f"option --classes: {path}: {name!r}: {index!r}; an index from 0 was expected")
        if name in found:
            raise InputError(f"option --classes: {path}: {name!r} stands there twice; a class has one index")
        found[name] = index
    return found


def number(
    root: Path, folders: Collection[Names], outputs: int, given: Path | None, subset: str | None
) -> Numbering:
    """Number the folders of all splits together.

    By ``given`` where there is one. Else as timm does, by name in natural order whatever the case, where
    there is a folder for each output; or by WordNet ids of the ImageNet that the model was trained on.

    Args:
        root: the tree, for messages.
        folders: those that hold images, of every split.
        outputs: classes that the model tells apart; 0 where there are none: then labels mean nothing.
        given: the file of ``--classes``.
        subset: timm's name of the ImageNet with as many classes as the model has outputs.

    Raises:
        InputError: which class a folder is cannot be told.
    """
    if given is not None:
        return _as_given(root, folders, outputs, given)
    by = _class_names(root, folders, asks=outputs > 0)
    names = sorted(set(by.values()), key=lambda name: (natural_key(name), name))
    if outputs and len(names) > outputs:
        raise InputError(
            f"{root}: {len(names)} class folders; the model tells {outputs} classes apart; "
            f"where several are of one class, {_ASK}"
        )
    if outputs and subset is not None and (known := _synsets(subset)).keys() >= set(names):
        return Numbering({folder: known[name] for folder, name in by.items()}, f"WordNet ids of {subset}")
    if outputs and len(names) < outputs:
        raise InputError(
            f"{root}: {len(names)} class folders ({_some(names)}); the model tells {outputs} classes apart; "
            f"which of them these are, {_ASK}"
        )
    for before, name in itertools.pairwise(names):
        if outputs and natural_key(before) == natural_key(name):
            raise InputError(f"{root}: class folders {before!r} and {name!r}: which comes first, {_ASK}")
    index = {name: i for i, name in enumerate(names)}
    return Numbering(
        {folder: index[name] for folder, name in by.items()},
        f"{len(names)} folders by name, in timm's order ({_some(names)})",
    )


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts as ``timm.utils.natural_key``: letters whatever their case, and digits by their value."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if i % 2 else (0, part) for i, part in enumerate(parts)]


def _as_given(root: Path, folders: Collection[Names], outputs: int, given: Path) -> Numbering:
    index = read_classes(given)
    if outputs and (most := max(index.values())) >= outputs:
        raise InputError(
            f"option --classes: {given}: has index {most}; the model tells {outputs} classes apart, "
            f"0 to {outputs - 1}"
        )
    labels: dict[Names, int] = {}
    for folder in sorted(folders):
        known = {index[name] for name in folder if name in index}
        if len(known) != 1:
            what = "none of its names is" if not known else "more than one of its names are"
            raise InputError(f"option --classes: {root}: folder {'/'.join(folder)!r}: {what} in {given}")
        labels[folder] = known.pop()
    return Numbering(labels, f"{len(set(labels.values()))} classes by {given}")


def _class_names(root: Path, folders: Collection[Names], asks: bool) -> dict[Names, str]:
    """The one of a folder's names that is its class's."""
    outer = {folder[0] for folder in folders}
    alike = sorted(name for name in outer if name.lower() in SPLIT_NAMES)
    if asks and len(alike) > 1:
        raise InputError(
            f"{root}: folders {_some(alike)} side by side; splits are called train/ and val/ or test/; "
            f"where these are classes, {_ASK}"
        )
    inner: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        inner["/".join(folder[1:])].add(folder[0])
    # Below each class the same one folder, such as images/, tells nothing apart.
    if asks and len(inner) > 1:
        deep = min(folder for folder in folders if len(folder) > 1)
        raise InputError(
            f"{root}: images in {'/'.join(deep)}/: whether their class is {deep[0]!r} or {deep[-1]!r}, {_ASK}"
        )
    return {folder: folder[0] for folder in folders}


def _synsets(subset: str) -> dict[str, int]:
    import_timm()
    from timm.data import ImageNetInfo

    return {name: index for index, name in enumerate(ImageNetInfo(subset).label_names())}


def _some(names: Collection[str]) -> str:
    more = ", ..." if len(names) > _MOST_NAMED else ""
    return ", ".join(list(names)[:_MOST_NAMED]) + more
