"""Slurm's commands as small scripts: they write down what they are asked, and answer from files."""

from pathlib import Path

_SBATCH = """#!/bin/sh
here={here}
n=$(ls $here/scripts | wc -l)
cat "$1" > $here/scripts/$n.sh
if grep -q -- '--partition=nowhere' "$1"; then
  echo 'sbatch: error: invalid partition specified: nowhere' >&2
  echo 'sbatch: error: Batch job submission failed: Invalid partition name specified' >&2
  exit 1
fi
echo "Submitted batch job $((4000 + n))"
"""
_SACCT = """#!/bin/sh
echo "$@" >> {here}/sacct.txt
echo 'JobID|State|NodeList'
cat {here}/states.txt
"""
_SQUEUE = """#!/bin/sh
[ -e {here}/queue.txt ] || exit 1
cat {here}/queue.txt
"""
_SCANCEL = """#!/bin/sh
echo "$@" >> {here}/scancel.txt
"""


class FakeSlurm:
    """Where the fakes lie and what they were asked."""

    def __init__(self, here: Path) -> None:
        self.here = here
        (here / "scripts").mkdir(parents=True)
        (here / "states.txt").touch()
        scripts = {"sbatch": _SBATCH, "sacct": _SACCT, "scancel": _SCANCEL, "srun": "#!/bin/sh\n"}
        scripts["squeue"] = _SQUEUE
        for name, text in scripts.items():
            (here / name).write_text(text.format(here=here))
            (here / name).chmod(0o755)

    def scripts(self) -> list[str]:
        """Return the scripts that sbatch was given, in order."""
        return [path.read_text() for path in sorted((self.here / "scripts").iterdir())]

    def say(self, **states: str) -> None:
        """Let sacct say these states; ``job_4001_0="RUNNING"``."""
        lines = [f"{job.removeprefix('job_')}|{state}|n1" for job, state in states.items()]
        (self.here / "states.txt").write_text("\n".join(lines) + "\n")

    def cancelled(self) -> list[str]:
        """Return the jobs that scancel was given."""
        path = self.here / "scancel.txt"
        return path.read_text().split() if path.exists() else []
