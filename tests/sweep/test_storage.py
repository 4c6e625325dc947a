"""The storage's address: its password stands in no message and no file."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_trials import quick, write_study

from hwnorm.errors import InputError
from hwnorm.runs.storage import HIDDEN, masked, reason
from hwnorm.sweep import book
from hwnorm.sweep.folder import begin
from hwnorm.sweep.study import read_study
from hwnorm.sweep.sweep import sweep

SECRET = "hunter2-x9"
URLS = [
    f"nosuchdb://me:{SECRET}@host/db",
    f"nosuchdb://me:a/{SECRET}@host/db",
    f"nosuchdb://me:a?{SECRET}@host/db",
    f"nosuchdb://me:a@{SECRET}@host/db",
    f"nosuchdb://me@host/db?sslmode=require&password={SECRET}",
    f"nosuchdb://host/db?user=me@here&password={SECRET}",
    f"nosuchdb:///db?password={SECRET}",
    f"nosuchdb:/me:{SECRET}@host/db",
    f"sqlite:////no/such/folder/x.db?key={SECRET}",
]
AXES = "[axes]\ninput_bits = [8, 10]"


@pytest.mark.parametrize("url", URLS)
def test_a_storage_that_cannot_be_used_is_told_without_its_password(tmp_path, url):
    """Whatever the driver says, and wherever the password stands."""
    study = write_study(tmp_path, f'[study]\nstorage = "{url}"\n{AXES}')
    with pytest.raises(InputError, match=r"study\.storage: '.*' cannot be used") as caught:
        sweep(study, run_trial=quick)
    assert SECRET not in str(caught.value)
    assert HIDDEN in str(caught.value)


@given(st.text(min_size=6), st.text())
def test_a_password_is_in_no_masked_address(password, tail):
    """Quoted or not, before the host or behind it; masking again changes nothing."""
    for text in (password, quote(password)):
        for url in (f"db+driver://me:{text}@host/name", f"db://host/name?password={text}{tail}"):
            found = masked(url)
            assert text not in found.replace("driver", "").replace("host/name", "")
            assert masked(found) == found


def test_an_address_without_secrets_is_told_whole():
    for url in ("sqlite:////data/me@home/x.db", "postgresql://host:5432/db", "nonsense"):
        assert masked(url) == url
    assert masked("postgresql://me:secret@host:5432/db") == "postgresql://***@host:5432/db"


def test_what_a_driver_says_is_kept_unless_it_tells_the_password():
    url = f"db://me:{quote('p@ss word')}@host/x"
    assert reason(ValueError("no route\nto host"), url) == "no route to host"
    for said in (f"cannot parse {url}", "wrong password 'p@ss word'", ""):
        assert reason(ValueError(said), url) == "ValueError"


@pytest.mark.parametrize(
    "text",
    [
        f'[study]\nsampler = "tpe"\nstorage = "db://me:{SECRET}@host/x"\n{AXES}',
        f'[study]\nstorage = ["db://me:{SECRET}@host/x"]\n{AXES}',
        f'storage = "db://me:{SECRET}@host/x"\n{AXES}',
        f'[axes]\nstorage = "db://me:{SECRET}@host/x"',
        f'[axes]\nstorage = ["db://me:{SECRET}@host/x", "db://me:{SECRET}@host/x"]',
    ],
)
def test_a_mistake_in_the_study_file_does_not_tell_it(tmp_path, text):
    """Messages show what was found: the whole table too, where that is what is wrong."""
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_study(tmp_path / "s.toml")
    assert SECRET not in str(caught.value)


def test_no_file_of_a_study_holds_it(tmp_path):
    """``study.json`` tells host and database: with a new password it goes on, elsewhere not."""

    def begun(url):
        study = write_study(tmp_path, f'[study]\nstorage = "{url}"\n{AXES}')
        study.folder.mkdir(exist_ok=True)
        return begin(study)[0], (study.folder / "study.json").read_text()

    new, text = begun(f"db://me:{SECRET}@host/x")
    assert new
    assert SECRET not in text
    assert '"db://***@host/x"' in text
    assert begun("db://me:renewed@host/x") == (False, text)
    with pytest.raises(InputError, match=r"study\.storage: db://\*\*\*@other/x; .* with db://\*\*\*@host/x"):
        begun(f"db://me:{SECRET}@other/x")


def test_a_password_that_an_earlier_version_wrote_goes(tmp_path):
    """The study goes on, and its ``study.json`` is written anew without it."""
    study = write_study(tmp_path, f'[study]\nstorage = "db://me:{SECRET}@host/x"\n{AXES}')
    study.folder.mkdir()
    begin(study)
    path = study.folder / "study.json"
    path.write_text(path.read_text().replace("***@", f"me:{SECRET}@"))
    assert not begin(study)[0]
    assert SECRET not in path.read_text()


def test_a_relative_file_is_relative_to_the_study(tmp_path, monkeypatch):
    """As all paths in a study file are: the same one wherever the sweep is started."""
    (tmp_path / "elsewhere").mkdir()
    head = '[study]\nsampler = "random"\ntrials = 2\nstorage = "sqlite:///opt.db"\n'
    study = write_study(tmp_path, head + AXES)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(sweep(study, jobs=1, run_trial=quick).rows) == 2
    assert (tmp_path / "opt.db").is_file()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_stored_draw_that_no_run_can_have_is_a_failed_trial(tmp_path, monkeypatch):
    """As an earlier version drew them: the study goes on with the next, and says which it was."""
    head = '[study]\nsampler = "random"\ntrials = 3\n[axes]\n'
    study = write_study(tmp_path, head + "population = { low = 8, high = 64 }")
    with monkeypatch.context() as earlier:
        earlier.setattr(book, "step_of", lambda name: 31)
        asked = book.Book(begun(study), True)
        asked.ask()
    summary = sweep(study, jobs=1, run_trial=quick)
    assert [row["state"] for row in summary.rows] == ["failed", "complete", "complete"]
    assert "population" in summary.rows[0]["error"]
    assert summary.rows[0]["population"] in (31, 62)


def begun(study):
    """A study whose folder is there."""
    study.folder.mkdir()
    begin(study)
    return study
