"""The run folder: where each artefact lies, and whether it is still made of today's inputs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwnorm.errors import InputError
from hwnorm.files import digest, read_artefact, write_artefact
from hwnorm.run.settings import RunSettings
from hwnorm.run.store import Store
from hwnorm.version import VERSION


class RunFolder:
    """A run folder and its settings; ``store`` holds artefacts that it shares with other runs."""

    def __init__(
        self, path: Path, settings: RunSettings, started: bool = True, store: Store | None = None
    ) -> None:
        self.path = path
        self.settings = settings
        self.store = store
        #: Whether ``run.json`` holds these settings; :meth:`start` writes it.
        self.started = started

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a folder that ``hwnorm run`` or ``hwnorm capture`` made.

        Raises:
            InputError: it is none, is of another version, or its settings are damaged.
        """
        if not (path / "run.json").is_file():
            raise InputError(f"{path}: no run folder (it has no run.json); `hwnorm capture {path}` makes one")
        data = read_artefact(path / "run.json", "run")
        try:
            return cls(path, RunSettings.model_validate(data.get("settings")))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["settings", *map(str, first["loc"])])
            raise InputError(f"{path / 'run.json'}: {where}: {first['msg']}") from None

    @classmethod
    def create(cls, path: Path, settings: RunSettings, force: bool) -> RunFolder:
        """A new run folder, or one to go on with that has the same settings.

        Nothing is written or removed before :meth:`start`: inputs that turn out to be bad leave what
        was there.

        Raises:
            InputError: the folder holds something else, or a run of other settings, and ``force`` is
                not given.
        """
        if path.exists() and not path.is_dir():
            raise InputError(f"{path}: is a file; a folder was expected")
        if (path / "run.json").is_file() and not force:
            found = cls.open(path).settings
            for name in RunSettings.model_fields:
                old, new = getattr(found, name), getattr(settings, name)
                if old != new:
                    raise InputError(
                        f"{path}: holds a run with {name} {old}; {new} was asked for: "
                        "choose another folder, or start over with --force"
                    )
            return cls(path, settings)
        if path.is_dir() and any(path.iterdir()) and not force:
            raise InputError(f"{path}: is not empty and no run folder; choose another, or give --force")
        return cls(path, settings, started=False)

    def start(self) -> None:
        """Write ``run.json``, unless the run has begun; what an earlier run left there goes."""
        if self.started:
            return
        if (self.path / "run.json").is_file():
            self._clear()
        self.write_settings()
        self.started = True

    def _clear(self) -> None:
        """Remove what the stages of the earlier run made, and nothing else."""
        for folder in ("profiles", "search", "fronts", "packages", "report"):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        made = (
            "choices.json",
            "choice.json",
            "realign.json",
            "realigned.safetensors",
            "finetune.pt",
            "verdict.json",
            "report.html",
        )
        for file in made:
            (self.path / file).unlink(missing_ok=True)

    def write_settings(self) -> None:
        """Write ``run.json``."""
        body = {"settings": self.settings.model_dump(mode="json")}
        write_artefact(self.path / "run.json", "run", self.settings.seed, digest(body), body)

    @property
    def choices(self) -> Path:
        return self.path / "choices.json"

    @property
    def choice(self) -> Path:
        return self.path / "choice.json"

    @property
    def realign(self) -> Path:
        return self.path / "realign.json"

    @property
    def realigned_weights(self) -> Path:
        return self.path / "realigned.safetensors"

    @property
    def emitted(self) -> Path:
        """Says what the packages were made from; written after them."""
        return self.path / "packages" / ".made_from"

    @property
    def verdict(self) -> Path:
        return self.path / "verdict.json"

    def profile(self, layer: str) -> Path:
        """Path of a layer's profile."""
        return self.path / "profiles" / f"{layer}.json"

    def front(self, layer: str) -> Path:
        """Path of a layer's front."""
        return self.path / "fronts" / f"{layer}.json"

    def search(self, layer: str) -> Path:
        """Path of the state of a layer's search, there while it goes on."""
        return self.path / "search" / f"{layer}.json"

    def package(self, top: str) -> Path:
        """Path of a kernel's package."""
        return self.path / "packages" / top

    def write(self, path: Path, kind: str, made_from: str, body: dict[str, Any], *beside: Path) -> None:
        """Write one of the run's JSON artefacts; one that :meth:`has` missed goes to the store too.

        Args:
            beside: files and folders that belong to it, and were written before.
        """
        write_artefact(path, kind, self.settings.seed, made_from, body)
        if self.store is not None and self.store.claimed(key := self._key(path, kind, made_from)):
            self.store.publish(key, self.path, [*beside, path])

    def has(self, path: Path, kind: str, made_from: str, *beside: Path) -> bool:
        """Whether the artefact is current, in place or brought from the store, with what lies beside it.

        If it is not, the run that shares the store is to write it; others that ask for it wait until then.

        Raises:
            InputError: it is there, but of another schema or kind.
        """
        if self.is_current(path, kind, made_from) and all(other.exists() for other in beside):
            return True
        if self.store is None:
            return False
        key = self._key(path, kind, made_from)
        if self.store.fetch(key, self.path, path):
            return True
        self.store.claim(key)
        if not self.store.fetch(key, self.path, path):
            return False
        self.store.release(key)
        return True

    def _key(self, path: Path, kind: str, made_from: str) -> str:
        assert self.store is not None
        return self.store.key(str(path.relative_to(self.path)), kind, made_from, VERSION)

    def is_current(self, path: Path, kind: str, made_from: str) -> bool:
        """Whether the artefact is there and made of the inputs with that hash, by this version.

        Raises:
            InputError: it is there, but of another schema or kind.
        """
        if not path.is_file():
            return False
        data = read_artefact(path, kind)
        return bool(data["made_from"] == made_from and data["hwnorm_version"] == VERSION)


def layer_files(folder: Path, stage: str) -> list[Path]:
    """The JSON files of a folder with one file a layer, in the order of execution.

    Raises:
        InputError: there is none; ``stage`` is the one that makes them.
    """
    files = sorted(folder.glob("*.json"), key=lambda path: read_order(path, stage))
    if not files:
        raise InputError(f"{folder}: no files; run `hwnorm {stage} {folder.parent}` first")
    return files


def read_order(path: Path, stage: str) -> int:
    """Where in the network the layer of a profile or front stands."""
    kind = {"capture": "profile", "search": "front"}[stage]
    return int(read_artefact(path, kind)["position"])


Say = Callable[[str], None]
