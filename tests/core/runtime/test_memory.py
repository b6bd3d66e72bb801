"""Main memory: one heap for the threads of a command."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from core.runtime.memory import share_heap

if sys.argv[1] == "shared":
    share_heap()
together = threading.Barrier(4)

def hold():
    kept = bytearray(1000)  # too long for Python's own heap
    together.wait()
    return kept

threads = [threading.Thread(target=hold) for _ in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("how", "several"), [("shared", False), ("as it is", True)])
def test_threads_share_one_heap(how, several):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    assert (done.stderr.count("Arena ") > 1) is several
