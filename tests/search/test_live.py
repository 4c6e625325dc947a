"""How far a search is, in one line for where there is no terminal."""

from __future__ import annotations

from types import SimpleNamespace

from hwnorm.search.live import LiveTable


def test_a_line_tells_layers_generations_and_what_is_left():
    settings = SimpleNamespace(generations=8)
    jobs = [
        SimpleNamespace(layer=name, settings=settings, states=states, ceiling_r2=0.9)
        for name, states in (("a", [None, None]), ("b", [None, None]))
    ]
    table = LiveTable(jobs)
    with table.shown():
        assert table._line() == "search: 0 of 2 layers, 0 of 32 generations"
        state = {"generation": 8, "archive": [], "hypervolume": [1.0]}
        jobs[0].states = [state, state]
        table.done("a", 3)
        line = table._line()
    assert line.startswith("search: 1 of 2 layers, 16 of 32 generations, 0 min 0")
    assert line.endswith(" s left")
