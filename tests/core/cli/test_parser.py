"""The command line's help and what is refused as no command, before anything is looked at."""

import pytest

COMMANDS = (
    "items",
    "fetch",
    "describe",
    "read",
    "maps",
    "evidence",
    "compare",
    "diagnose",
    "sweep",
    "pack",
    "unpack",
    "features",
    "cache",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, run, capsys):
    with pytest.raises(SystemExit) as end:
        run(name, "--help")
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert f"example:\n  python -m core {name}" in out


@pytest.mark.parametrize(
    "words", [[], ["dance"], ["cache", "--clear"], ["maps", "m", "--dims", "4"]]
)
def test_what_is_no_command_ends_with_status_2(words, run, capsys):
    with pytest.raises(SystemExit) as end:
        run(*words)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert "usage:" in err
