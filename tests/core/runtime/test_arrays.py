"""Arrays in files: what is let go of stays in the file, and no longer in memory."""

import sys

import numpy as np
import psutil
import pytest

from core.runtime.arrays import create_array_file, let_go, map_array_file


@pytest.mark.skipif(sys.platform != "linux", reason="how Linux drops pages")
def test_what_is_let_go_of_stays_in_the_file_and_leaves_memory(tmp_path):
    path = tmp_path / "array.safetensors"
    array = create_array_file(path, (4096, 4096), "float32")
    values = np.arange(4096, dtype=np.float32)
    array[:] = values[:, None]
    before = psutil.Process().memory_info().rss
    let_go(array)
    assert before - psutil.Process().memory_info().rss > 60e6
    array[7] = 1
    let_go(array)
    values[7] = 1
    for again in (array, map_array_file(path)):
        assert (again == values[:, None]).all()


def test_an_array_in_memory_is_left_alone():
    array = np.arange(6.0)
    let_go(array)
    assert array.tolist() == [0, 1, 2, 3, 4, 5]
