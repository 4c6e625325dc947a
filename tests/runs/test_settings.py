"""Settings: defaults, and options that are out of range."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnorm.errors import InputError
from hwnorm.expression import parse
from hwnorm.fixed import FixedFormat
from hwnorm.lowering.lower import lower
from hwnorm.runs.settings import RunSettings, make_settings
from hwnorm.targets.target import load_target


def test_options_that_are_not_given_keep_their_default():
    """Only what is given differs from the defaults."""
    assert make_settings() == RunSettings()
    assert make_settings(images=7) == RunSettings().model_copy(update={"images": 7})
    assert make_settings(images=7).images == 7


def test_paths_become_absolute(tmp_path, monkeypatch):
    """A stage may run from another folder than the run was made in."""
    monkeypatch.chdir(tmp_path)
    made = make_settings(weights=Path("w.pth"), data=Path("d"), target="t.json")
    assert made.weights == tmp_path / "w.pth"
    assert made.data == tmp_path / "d"
    assert made.target == str(tmp_path / "t.json")
    assert make_settings(target="xcup").target == "xcup"


def test_settings_come_back_from_json():
    """What run.json holds is read as the same settings."""
    made = make_settings(data=Path("d"), clock_mhz=123.5, seed=9)
    assert RunSettings.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("images", 0, "--images"),
        ("input_bits", 3, "--input-bits"),
        ("input_bits", 17, "--input-bits"),
        ("output_bits", 2, "--output-bits"),
        ("clock_mhz", 0.0, "--clock"),
        ("clock_mhz", float("inf"), "--clock"),
        ("lanes", 0, "--lanes"),
        ("population", 4, "--population"),
        ("population", 10, "--population"),
        ("generations", -1, "--generations"),
        ("image_size", 4, "--image-size"),
        ("epochs", 0, "--epochs"),
        ("learning_rate", 0.0, "--learning-rate"),
        ("within", -0.5, "--within"),
        ("total_area", -1.0, "--total-area"),
        ("max_loss", -1.0, "--max-loss"),
    ],
)
def test_bad_option_is_named_as_it_is_written(name, value, option):
    """One line with the option of the command line and the value that was found."""
    with pytest.raises(InputError) as caught:
        make_settings(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"option {option}: {value!r}; ")
    assert "\n" not in message


def test_a_wrong_weight_is_told_before_anything_begins():
    """The option, what was found, and what is possible, in one line; right ones stay as they were given."""
    with pytest.raises(InputError, match=r"option --cost-weights: 'dps=3'; lut, .* are possible") as caught:
        make_settings(cost_weights="lut=1,dps=3")
    assert "\n" not in str(caught.value)
    assert make_settings(cost_weights="lut=1,dsp=50").cost_weights == "lut=1,dsp=50"


def test_one_budget_at_a_time():
    """An area and a loss together leave nothing to choose: both options are named."""
    with pytest.raises(InputError, match=r"--total-area or --max-loss, not both"):
        make_settings(total_area=300.0, max_loss=0.1)


@pytest.mark.parametrize(
    ("target", "clock"), [("xcup", 250.0), ("ecp5", 100.0), ("ice40", 50.0), ("asic", 250.0)]
)
def test_the_clock_is_the_targets_where_none_is_given(target, clock):
    """One that it reaches with what kernels are made of; what is given is kept."""
    technology = load_target(target)
    assert make_settings(target=target).clock_mhz == technology.clock_mhz == clock
    assert make_settings(target=target, clock_mhz=12.5).clock_mhz == 12.5
    for text in ("2.58*tanh(x)+0.24", "x*x*x - 0.3*x", "rsqrt(square(x) + 1)"):
        lower(parse(text), FixedFormat(10, 6), FixedFormat(8, 5), technology, technology.clock_mhz)


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_a_seed_that_a_later_stage_cannot_take_is_refused_at_once(seed):
    with pytest.raises(InputError, match="option --seed"):
        make_settings(seed=seed)
