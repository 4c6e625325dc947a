"""Options that are made from the settings: each field has one, and what is on can be left out."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from hwnorm.cli.options import takes_settings
from hwnorm.runs.settings import RunSettings, make_settings


def given(*options: str) -> dict[str, Any]:
    """What a command with these options gets."""
    app, found = typer.Typer(), {}

    @app.command()
    @takes_settings
    def command(values: dict[str, Any]) -> None:
        found.update(values)

    result = CliRunner().invoke(app, list(options))
    assert result.exit_code == 0, result.output
    return found


def test_every_setting_has_an_option():
    assert given() == RunSettings().model_dump() | {"clock_mhz": None}  # which is the target's own
    assert make_settings(**given()) == RunSettings()


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [("--no-quantize", "quantize", False), ("--quantize", "quantize", True), ("--no-dsp", "no_dsp", True)],
)
def test_switches(option, field, value):
    assert given(option)[field] is value
