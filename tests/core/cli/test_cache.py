"""The command ``cache``: what is stored, by kind, and removed by kind alone; and checked."""

from core.runtime.store import default_root


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


def test_verifying_tells_that_all_is_whole_or_what_was_damaged(run, model, actions):
    run("read", model, "--items", actions)
    status, out, _ = run("cache", "verify")
    assert status == 0
    assert "artefacts are as they were written" in out
    path = max(default_root().glob("acts/*/array.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    status, out, err = run("cache", "verify")
    assert (status, out) == (2, "")
    assert "1 of " in err
    assert "array.safetensors has changed since it was written" in err
    assert "nothing to do" not in run("read", model, "--items", actions)[1]
    assert run("cache", "verify")[0] == 0
