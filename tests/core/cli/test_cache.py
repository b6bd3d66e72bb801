"""The command ``cache``: what is stored, by kind, and removed by kind alone."""


def test_the_cache_is_listed_by_kind_and_cleared_by_kind_alone(run, model, actions):
    assert "Nothing is stored." in run("cache")[1]
    run("maps", model, "--items", actions)
    _, listed, _ = run("cache")
    assert {line.split()[0] for line in listed.splitlines() if line.endswith("kB")} >= {
        "items",
        "acts",
        "layout",
    }
    status, out, _ = run("cache", "--clear", "layout")
    assert status == 0
    assert out.startswith("Removed 5 of the kind layout, ")
    _, listed, _ = run("cache")
    assert "layout" not in listed
    assert "acts" in listed
    assert "nothing to do" in run("read", model, "--items", actions)[1]
