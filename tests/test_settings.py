"""Settings: where values come from, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagnb import settings as module
from dagnb.errors import OptionError
from dagnb.settings import NAMES, Settings, configure, hide_password, parse


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    """No value of the test run itself, and a working directory without a project."""
    for name in NAMES:
        monkeypatch.delenv(f"DAGNB_{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "_CONFIGURED", {})
    return tmp_path


def test_defaults_say_that_they_are():
    found = Settings.load()
    assert found.workers >= 1
    assert found.planner == "auto"
    assert set(found.sources.values()) == {"default"}
    assert [name for name, _, _ in found.items()] == list(NAMES)


def test_nearest_wins_and_every_value_knows_its_source(monkeypatch, nothing_set):
    (nothing_set / "pyproject.toml").write_text(
        '[tool.dagnb]\nworkers = 2\nplanner = "heft"\nidle-timeout = "2m"\nmax_deaths = 9\n'
    )
    inner = nothing_set / "notebooks" / "deep"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert Settings.load().workers == 2
    monkeypatch.setenv("DAGNB_WORKERS", "3")
    monkeypatch.setenv("DAGNB_PLANNER", "simple")
    assert Settings.load().workers == 3
    configure(workers=4)
    assert Settings.load().workers == 4
    found = Settings.load(workers=5)
    assert (found.workers, found.planner, found.idle_timeout, found.max_deaths) == (5, "simple", 120.0, 9)
    assert found.sources["workers"] == "argument"
    assert found.sources["planner"] == "DAGNB_PLANNER"
    assert found.sources["idle_timeout"].startswith("[tool.dagnb] in ")
    assert found.sources["redis"] == "default"


def test_configure_takes_back_and_is_all_or_nothing():
    configure(workers=4, debug=True)
    with pytest.raises(OptionError):
        configure(planner="heft", workers="many")
    assert Settings.load().planner == "auto"
    assert configure(workers=None).sources["workers"] == "default"
    assert Settings.load().debug is True


def test_unknown_name_lists_near_ones():
    with pytest.raises(OptionError, match="workers") as caught:
        Settings.load(wokers=3)
    assert "wokers" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", 0), ("workers", -1), ("workers", True), ("workers", 2.0), ("workers", "two"),
        ("idle_timeout", "soon"), ("idle_timeout", -1), ("idle_timeout", float("nan")), ("idle_timeout", True),
        ("redis", "http://example.org"), ("redis", 6379), ("debug", "perhaps"), ("planner", ""), ("runtime_dir", 3),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_by_name_and_place(name, value):
    with pytest.raises(OptionError) as caught:
        Settings.load(**{name: value})
    first, where, advice = str(caught.value).split("\n")
    assert name in first
    assert where.strip() == "argument"
    assert advice


def test_broken_project_file_is_named(nothing_set):
    (nothing_set / "pyproject.toml").write_text("[tool.dagnb\n")
    with pytest.raises(OptionError, match=r"pyproject\.toml"):
        Settings.load()


def test_passwords_are_never_shown():
    secret = "redis://me:hunter2@example.org:6379/0"
    found = Settings.load(redis=secret)
    assert "hunter2" not in repr(found) + str(list(found.items())) + hide_password("redis://:hunter2@h")
    assert hide_password("unix:///tmp/r.sock") == "unix:///tmp/r.sock"
    with pytest.raises(OptionError) as caught:
        Settings.load(redis="http://me:hunter2@example.org")
    assert "hunter2" not in str(caught.value)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "workers": st.integers(1, 500),
            "planner": st.text("abcdef", min_size=1),
            "idle_timeout": st.floats(0, 1e6),
            "max_deaths": st.integers(1, 50),
            "insecure": st.booleans(),
            "debug": st.booleans(),
            "redis": st.just("unix:///tmp/x.sock"),
        },
    )
)
def test_environment_carries_every_value_unchanged(values):
    told = Settings.load(**values)
    carried = {name: parse(name, told.environ()[f"DAGNB_{name.upper()}"], "test") for name in values}
    assert carried == {name: getattr(told, name) for name in values}


@given(st.floats(0, 1e6), st.sampled_from(["s", "m", "h", "d"]))
def test_durations(number, unit):
    scale = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    assert parse("idle_timeout", f"{number}{unit}", "test") == number * scale


def test_directories(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ours = Settings.load()
    assert ours.runtime_path.parent == tmp_path / "dagnb"
    assert ours.data_path == tmp_path / "data" / "dagnb"
    assert Settings.load(redis="unix:///tmp/x.sock").runtime_path != ours.runtime_path
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert str(Settings.load().runtime_path).startswith("/tmp/dagnb-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/of-nobody")
    assert str(Settings.load().runtime_path).startswith("/tmp/dagnb-")
    assert Settings.load(runtime_dir="~/r").runtime_path.is_absolute()
