import pytest

from dagnb.errors import OptionError
from dagnb.notebook import options as opt


def parse(line, words=1):
    return opt.parse(line, opt.CELL_OPTIONS, where="%%dag", words=words)


def test_words_and_options_in_any_order():
    for line in ("etl -r -w 4 -P heft", "-w 4 etl --run --planner heft", "--workers=4 -P=heft -r etl"):
        parsed = parse(line)
        assert parsed.words == ("etl",)
        assert (parsed["run"], parsed["workers"], parsed["planner"]) == (True, 4, "heft")


def test_what_was_not_said():
    parsed = parse("etl")
    assert (parsed["run"], parsed["bg"], parsed["workers"], parsed["planner"]) == (False, False, None, None)


def test_a_hash_begins_no_comment():
    assert parse("etl # later", words=3).words == ("etl", "#", "later")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("etl --wrokers 4", "Did you mean --workers?"),
        ("etl -x", "-x is not an option here"),
        ("etl -w", "-w needs a value.\n  Write -w N."),
        ("etl -w four", "-w takes a whole number from 1 on, not 'four'"),
        ("etl -w 0", "not '0'"),
        ("etl -w -2", "not '-2'"),
        ("etl -P --run", "-P needs a value"),
        ("etl --run=yes", "--run takes no value"),
        ("etl other", "'other' is one word too many"),
        ("etl 'x", "a quote is not closed"),
    ],
)
def test_refusals_say_what_and_how(line, text):
    with pytest.raises(OptionError) as caught:
        parse(line)
    assert text in str(caught.value)
    assert str(caught.value).startswith("%%dag: ")


@pytest.mark.parametrize("line", ["etl --fresh", "etl --only x", "etl -p a=1", "etl -q requirements.txt"])
def test_what_is_not_built_is_refused_by_name(line):
    with pytest.raises(OptionError, match="not available in this version of dagnb yet"):
        parse(line)


@pytest.mark.parametrize(("word", "value"), [("30", 30.0), ("1.5s", 1.5), ("0", 0.0)])
def test_seconds(word, value):
    assert opt.seconds(word) == value


@pytest.mark.parametrize("word", ["-1", "soon", "inf", "nan", ""])
def test_bad_seconds(word):
    with pytest.raises(ValueError, match="takes seconds"):
        opt.seconds(word)
