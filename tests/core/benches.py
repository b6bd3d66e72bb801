"""What tests of jobs share: a small table, work that ends well, a bench that opens no weights."""

import random

from core.foundations import FOUNDATIONS
from core.models.open_models import Shelf
from core.workbench import Workbench

#: Seconds within which everything here ends.
SOON = 120.0


def done(job):
    """Wait for a job that has to end well, and return it."""
    job.wait(SOON)
    assert (job.state, job.error) == ("done", "")
    return job


def failed(job):
    """Wait for a job that has to fail, and return why it did."""
    job.wait(SOON)
    assert job.state == "failed"
    return job.error


def finish(bench, made):
    """Make something and all that it needs; return the jobs in which it was made."""
    jobs = []
    while (job := bench.runner.ensure(made)) is not None:
        jobs.append(done(job))
    return jobs


def closed(bench, monkeypatch):
    """Return a fresh workbench on the same cache that fails if it opens any weights."""

    def never(*_args, **_options):
        raise AssertionError("weights were opened")

    monkeypatch.setattr(Shelf, "get", never)
    monkeypatch.setattr("core.models.open_models.open_model", never)
    return Workbench.at(bench.store.root)


def write_table(path, n=24, seed=0):
    """Write a table of actions with any foundation and judgement; return its path."""
    draw = random.Random(seed)
    lines = ["action\tfoundation\tjudgement\tagreement"]
    for number in range(n):
        verb = draw.choice(["help", "rob", "praise", "mock", "feed", "leave"])
        row = (f"{verb} person {number} of the town", draw.choice(FOUNDATIONS))
        lines.append("\t".join(map(str, (*row, draw.randint(-2, 2), draw.randint(1, 4)))))
    path.write_text("\n".join(lines) + "\n")
    return path
