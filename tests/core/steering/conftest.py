"""Fixtures of tests that steer: the tiny models, opened once for each file."""

import pytest

from tests.core.steering.steeringsets import opened


@pytest.fixture(scope="module")
def llama(tiny_llama_folder, tmp_path_factory):
    return opened(tiny_llama_folder, tmp_path_factory)


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_folder, tmp_path_factory):
    return opened(tiny_gpt2_folder, tmp_path_factory)


@pytest.fixture(params=["llama", "gpt2"])
def model(request):
    return request.getfixturevalue(request.param)
