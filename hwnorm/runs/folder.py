"""The run folder: where each artefact lies, and whether it still belongs to what lies beside it."""

from __future__ import annotations

import shutil
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any, Protocol

from hwnorm.artefact import A, Artefact
from hwnorm.errors import InputError
from hwnorm.files import body, digest, read_artefact
from hwnorm.network.replacement import WEIGHTS
from hwnorm.runs.products import PRODUCTS, Need, Product, Source
from hwnorm.runs.settings import Norms, RunSettings, make_settings, option_name, target_digest
from hwnorm.runs.store import Store
from hwnorm.version import VERSION, code_digest, library_versions

#: The run folder, in a run's, of the same network with its LayerNorms (:mod:`hwnorm.stages.control`).
CONTROL = "layernorm"


class Outside(Protocol):
    """Knows what artefacts depend on that does not lie in the folder (:class:`hwnorm.runs.inputs.Inputs`)."""

    def digest(self, need: Need) -> str:
        """Its hash."""


class RunFile(Artefact):
    """``run.json``."""

    KIND = "run"

    settings: RunSettings


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
        #: What ``run.json`` holds, where that is not these settings.
        self._stored: RunSettings | None = None
        #: Of each file the state that it was read in, and what it held then.
        self._files: dict[Path, tuple[Hashable, dict[str, Any]]] = {}
        self._digests: dict[Hashable, str] = {}

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a folder that ``hwnorm run`` or ``hwnorm capture`` made.

        Raises:
            InputError: it is none, is of another version, or its settings are damaged.
        """
        if not (path / "run.json").is_file():
            raise InputError(f"{path}: no run folder (it has no run.json); `hwnorm capture {path}` makes one")
        return cls(path, RunFile.read(path / "run.json", "start over with --force").settings)

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
                        f"{_going_on(name, old)}, choose another folder, or start over with --force"
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
        for product in PRODUCTS:
            for pattern in (product.place.replace("{layer}", "*"), *product.beside):
                for path in self.path.glob(pattern):
                    # A folder beside an artefact is a package; one of the user's own has no manifest.
                    if not path.is_dir():
                        path.unlink()
                    elif (path / "manifest.json").is_file():
                        shutil.rmtree(path)
            folder = (self.path / product.place).parent
            if folder != self.path and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

        control = self.path / CONTROL
        if (control / "run.json").is_file():
            RunFolder(control, self.settings)._clear()
            (control / "run.json").unlink()
            if not any(control.iterdir()):
                control.rmdir()

    def change_settings(self, **values: object) -> None:
        """Give the run other settings, which ``run.json`` holds before any result that was made with them.

        Raises:
            InputError: one is out of range; the message names it.
        """
        before = self._stored or self.settings
        self.settings, self._stored = make_settings(**self.settings.model_dump() | values), before

    def keep_settings(self) -> None:
        """Write ``run.json`` where settings were changed and nothing was made with them."""
        if self._stored is not None:
            self.write_settings()

    def write_settings(self) -> None:
        """Write ``run.json``."""
        RunFile(settings=self.settings).write(self.path / "run.json", self.settings.seed, {})
        self._stored = None

    # --- places --------------------------------------------------------------------------------------

    def at(self, product: Product[Any], layer: str | None = None) -> Path:
        """Where an artefact lies, or would."""
        return self.path / product.place.format(layer=layer)

    def package(self, top: str) -> Path:
        """Path of a kernel's package."""
        return self.path / "packages" / top

    @property
    def realigned_weights(self) -> Path:
        return self.path / WEIGHTS

    def layers(self, product: Product[Any]) -> list[str]:
        """The layers that have the artefact, in the order of execution.

        Raises:
            InputError: there is none, or one is damaged.
        """
        names = self._named(product)
        if not names:
            folder = self.at(product, "*").parent
            raise InputError(f"{folder}: no files; run `{self._command(product)}` first")
        return sorted(names, key=lambda layer: self._position(product, layer))

    def _position(self, product: Product[Any], layer: str) -> int:
        found = self._raw(product, layer).get("position")
        if not isinstance(found, int):
            path = self.at(product, layer)
            raise InputError(f"{path}: position: {found!r}; `{self._command(product)}` makes it again")
        return found

    def _named(self, product: Product[Any]) -> list[str]:
        return sorted(path.stem for path in self.path.glob(product.place.replace("{layer}", "[!.]*")))

    def _command(self, product: Product[Any]) -> str:
        return f"hwnorm {product.stage} {self.path}"

    # --- reading and writing -------------------------------------------------------------------------

    def read(self, product: Product[A], layer: str | None = None) -> A:
        """An artefact that belongs to what lies beside it.

        Raises:
            InputError: it is missing, damaged, or stale; the message names the command that renews it.
        """
        path = self.at(product, layer)
        if not path.is_file():
            raise InputError(f"{path}: not there; run `{self._command(product)}` first")
        if (why := self.stale(product, layer)) is not None:
            raise InputError(f"{path}: {why}")
        found = product.model.of(
            self._raw(product, layer), path, f"`{self._command(product)}` makes it again"
        )
        if layer is not None and getattr(found, "layer", layer) != layer:
            raise InputError(
                f"{path}: layer: {getattr(found, 'layer', None)!r}; {layer!r} was expected, as the file is "
                f"called; `{self._command(product)}` makes it again"
            )
        return found

    def write(
        self,
        product: Product[A],
        artefact: A,
        made_from: dict[str, str],
        layer: str | None = None,
        beside: tuple[Path, ...] = (),
    ) -> None:
        """Write an artefact; one that :meth:`has` missed goes to the store too.

        Args:
            beside: files and folders that belong to it, and were written before.
        """
        path = self.at(product, layer)
        if self._stored is not None and any(
            getattr(self._stored, name) != getattr(self.settings, name) for name in product.settings
        ):
            self.write_settings()
        artefact.write(path, self.settings.seed, made_from)
        if self.store is not None and self.store.claimed(key := self._key(product, made_from, layer)):
            self.store.publish(key, self.path, [*beside, path])

    def has(
        self,
        product: Product[Any],
        made_from: dict[str, str],
        layer: str | None = None,
        beside: tuple[Path, ...] = (),
    ) -> bool:
        """Whether the artefact is current, in place or brought from the store, with what lies beside it.

        If it is not, the run that shares the store is to write it; others that ask for it wait until then.

        Raises:
            InputError: it is there, but of another schema or kind.
        """
        if self.is_current(product, made_from, layer) and all(path.exists() for path in beside):
            return True
        if self.store is None:
            return False
        key = self._key(product, made_from, layer)
        if self.store.fetch(key, self.path, self.at(product, layer)):
            return True
        self.store.claim(key)
        if not self.store.fetch(key, self.path, self.at(product, layer)):
            return False
        self.store.release(key)
        return True

    def _key(self, product: Product[Any], made_from: dict[str, str], layer: str | None) -> str:
        assert self.store is not None
        return self.store.key(product.place.format(layer=layer), product.kind, digest(made_from), VERSION)

    def is_current(self, product: Product[Any], made_from: dict[str, str], layer: str | None = None) -> bool:
        """Whether the artefact is there and made of just that, by this version.

        Raises:
            InputError: it is there, but of another schema or kind.
        """
        path = self.at(product, layer)
        if not path.is_file():
            return False
        data = self._file(path, product)
        return bool(data["made_from"] == made_from and data["hwnorm_version"] == VERSION)

    # --- what belongs together -----------------------------------------------------------------------

    def made_from(
        self, product: Product[Any], outside: Outside | None, layer: str | None = None, **more: str
    ) -> dict[str, str]:
        """Name -> digest of all that an artefact would be made from now.

        Args:
            outside: knows the model and the images; None where they do not matter.
            more: what only the stage knows, such as ``tools``.

        Raises:
            InputError: an artefact that it is made from is missing or damaged.
        """
        found = {source.name: self._content(source, product, layer) for source in self._reads(product)}
        found["code"] = digest(code_digest(), library_versions())
        if product.settings:
            found["settings"] = self._settings_digest(product)
        for need in product.needs:
            if need == "target":
                found[need] = target_digest(self.settings)
            elif need not in more:
                assert outside is not None
                found[need] = outside.digest(need)
        return found | more

    def stale(self, product: Product[Any], layer: str | None = None) -> str | None:
        """Why an artefact does not belong to what lies beside it; None where it does, or is not there.

        What it was made from and is no longer there says nothing against it.

        Raises:
            InputError: a file is damaged.
        """
        if product.by_layer and layer is None:
            reasons = (self.stale(product, name) for name in self._named(product))
            return next((why for why in reasons if why is not None), None)
        path = self.at(product, layer)
        if not path.is_file():
            return None
        told = self._file(path, product)["made_from"]
        for name, now in self._inside(product, layer):
            if told.get(name) != now:
                what = "with other settings" if name == "settings" else f"from another {name}"
                return f"stale: made {what}; `{self._command(product)}` renews it"
        if product.seal is not None and self._raw(product, layer).get("seal") != product.seal(self.path):
            beside = " and ".join(product.beside)
            return f"stale: {beside} changed since it was written; `{self._command(product)}` renews it"
        for source in self._reads(product):
            why = self.stale(source.product, layer if product.by_layer else None)
            if why is not None:
                return f"stale, for what it was made from is ({source.name}: {why})"
        return None

    def _inside(self, product: Product[Any], layer: str | None) -> Iterator[tuple[str, str]]:
        """What of ``made_from`` can be told from the folder alone."""
        for source in self._reads(product):
            of = source.product
            own = layer if product.by_layer else None
            if self._named(of) if of.by_layer and own is None else self.at(of, own).is_file():
                yield source.name, self._content(source, product, layer)
        if product.settings:
            yield "settings", self._settings_digest(product)
        if "target" in product.needs:
            yield "target", target_digest(self.settings)

    def _reads(self, product: Product[Any]) -> list[Source]:
        """What an artefact is made from with the run's norms."""
        layernorm = self.settings.norms is Norms.LAYERNORM
        return [source for source in product.reads if not (source.functions and layernorm)]

    def _settings_digest(self, product: Product[Any]) -> str:
        return digest([getattr(self.settings, name) for name in product.settings])

    def _content(self, source: Source, reader: Product[Any], layer: str | None) -> str:
        """Hash of what the reader takes of an artefact; where it has no layers of its own, of all layers'."""
        if not source.product.by_layer or reader.by_layer:
            return self._part(source, layer if reader.by_layer else None)
        layers = self.layers(source.product)
        return digest([[name, self._part(source, name)] for name in layers])

    def _part(self, source: Source, layer: str | None) -> str:
        path = self.at(source.product, layer)
        key = (path, source.part, _state(path))
        if key not in self._digests:
            data: Any = self._raw(source.product, layer)
            if source.part is not None:
                data = source.part(source.product.model.of(data, path))
            self._digests[key] = digest(data)
        return self._digests[key]

    def _raw(self, product: Product[Any], layer: str | None) -> dict[str, Any]:
        path = self.at(product, layer)
        if not path.is_file():
            raise InputError(f"{path}: not there; run `{self._command(product)}` first")
        return body(self._file(path, product))

    def _file(self, path: Path, product: Product[Any]) -> dict[str, Any]:
        """A file that is there, head and body; parsed once as long as it stays what it is."""
        state = _state(path)
        if path not in self._files or self._files[path][0] != state:
            self._files[path] = state, read_artefact(path, product.kind)
        return self._files[path][1]


def _going_on(name: str, value: object) -> str:
    """What to give a command so that it goes on with a setting."""
    option = option_name(name)
    if isinstance(value, bool):
        default = RunSettings.model_fields[name].default
        return (
            f"give {option if value else f'--no-{option[2:]}'}" if value != default else f"leave {option} out"
        )
    return f"leave {option} out" if value in (None, "") else f"give {option} {value} to go on with it"


def _state(path: Path) -> Hashable:
    """What tells that a file is not the one from before; None where there is none."""
    if not path.is_file():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
