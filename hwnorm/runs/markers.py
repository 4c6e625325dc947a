"""Artefacts that only say what others are, or how far a stage has come."""

from __future__ import annotations

from typing import Any

from hwnorm.artefact import Artefact
from hwnorm.names import TopName


class SearchStates(Artefact):
    """The state of each restart of a layer's search (:class:`hwnorm.search.evolve.State`), None at first."""

    KIND = "search"

    states: tuple[dict[str, Any] | None, ...]


class Emitted(Artefact):
    """Which packages are of a run; ``seal`` is the hash of what they hold."""

    KIND = "packages"

    tops: tuple[TopName, ...]
    seal: str


class Pages(Artefact):
    """Which pictures a run's page holds."""

    KIND = "report"

    pictures: tuple[str, ...]
