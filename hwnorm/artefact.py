"""Artefacts as types: what each JSON file of a run, a package or a study holds, checked when it is read."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from hwnorm.errors import InputError
from hwnorm.files import SCHEMA, body, read_artefact, write_artefact

A = TypeVar("A", bound="Artefact")


def _inside(name: str) -> str:
    path = PurePosixPath(name)
    plain = name and "\\" not in name and "\0" not in name and str(path) == name
    if not plain or path.is_absolute() or ".." in path.parts or path.parts == ():
        raise ValueError(f"{name!r} is not the relative name of a file inside the folder")
    return name


#: The name of a file relative to the folder that tells of it: never absolute, never through "..".
InsideName = Annotated[str, AfterValidator(_inside)]


class Part(BaseModel):
    """A part of an artefact: its fields and no others, each of its type, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, ser_json_inf_nan="constants")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return self.model_dump(mode="json")


class Artefact(Part):
    """What a JSON file holds behind its head (:data:`hwnorm.files.HEAD`). ``KIND`` is the head's ``kind``."""

    KIND: ClassVar[str]

    @classmethod
    def read(cls, path: Path, renew: str = "run the stage that makes it again") -> Self:
        """Read and check a file.

        Args:
            renew: what makes the file anew, for the message.

        Raises:
            InputError: it is missing, of another kind or schema, or a field is missing, unknown or wrong.
        """
        return cls.of(body(read_artefact(path, cls.KIND)), path, renew)

    @classmethod
    def of(cls, data: dict[str, Any], path: Path, renew: str = "run the stage that makes it again") -> Self:
        """Check what a file holds behind its head.

        Raises:
            InputError: a field is missing, unknown or wrong; ``path`` and the field are named.
        """
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise InputError(f"{path}: {first_fault(error)}; {renew}") from None

    def write(self, path: Path, seed: int | None, made_from: dict[str, str]) -> None:
        """Write the file, whole or not at all."""
        write_artefact(path, self.KIND, seed, made_from, self.to_json())


def first_fault(error: ValidationError) -> str:
    """The first thing that is wrong, as ``field: what would be right (what was found)``; one line."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"{where}: missing"
    said = " ".join(first["msg"].removeprefix("Value error, ").split())
    found = json.dumps(first["input"], default=str)
    short = found if len(found) <= 60 else f"{found[:57]}..."
    return f"{where + ': ' if where else ''}{said} (found {short})"


def json_schema(model: type[Artefact]) -> dict[str, Any]:
    """The JSON Schema of a whole file, its head included."""
    schema = model.model_json_schema()
    head = {
        "kind": {"const": model.KIND},
        "schema": {"const": SCHEMA},
        "hwnorm_version": {"type": "string"},
        "seed": {"type": ["integer", "null"]},
        "made_from": {"type": "object", "additionalProperties": {"type": "string"}},
    }
    schema["properties"] = head | schema.get("properties", {})
    schema["required"] = [*head, *schema.get("required", [])]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
