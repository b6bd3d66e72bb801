"""Fixtures every test may use: tiny real models made in code, a store in a temporary folder.

``MORALSCOPE_TEST_CACHE`` names a folder that keeps the converted Gemma between runs (18 s saved).
"""

import os

from tests.cores import CORES, SHARE

# Before torch and transformers are imported anywhere: no test reaches the network, and OpenMP does
# not spin while other processes need the cores (6 times slower with one busy neighbour).
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Workers side by side (pytest -n) share the cores instead of each taking all of them.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", str(SHARE))
    os.environ.setdefault("MKL_NUM_THREADS", str(SHARE))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(SHARE))
    os.environ.setdefault("NUMBA_NUM_THREADS", str(SHARE))

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.activations import sentence_embedding
from core.runtime.store import Store, default_root

if TYPE_CHECKING:
    from core.models.open_models import ModelSpec, OpenModel

TINY_LAYERS = 3
TINY_WIDTH = 32
_CORPUS = [
    "It is wrong to lie to a friend.",
    "Helping a stranger with heavy bags is kind.",
    "You should not steal from your neighbour, even when nobody is looking.",
    "Keeping a promise to your team shows loyalty.",
]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers ``-n auto`` means: one per core, of which each holds 2 GB."""
    return min(CORES, 8)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one worker begin with the browser and the packaged model, which take longest.

    So a second server is seldom started, that model seldom opened twice, and what is left for the
    end, when workers take tests over from each other, is short.
    """
    browser = Path(__file__).parent / "browser"

    def turn(item: pytest.Item) -> int:
        if browser in item.path.parents:
            return 0
        return 1 if item.get_closest_marker("gemma") else 2

    items.sort(key=turn)


@pytest.fixture(autouse=True, scope="session")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point the default cache away from the user's own for the whole session.

    Workers side by side share it: one converts the model, the others wait.
    """
    kept = os.environ.get("MORALSCOPE_TEST_CACHE")
    if kept:
        root = Path(kept).expanduser()
    elif "PYTEST_XDIST_WORKER" in os.environ:
        root = tmp_path_factory.getbasetemp().parent / "cache"
    else:
        root = tmp_path_factory.mktemp("cache")
    before = os.environ.get("MORALSCOPE_CACHE")
    os.environ["MORALSCOPE_CACHE"] = str(root)
    yield root
    if before is None:
        del os.environ["MORALSCOPE_CACHE"]
    else:
        os.environ["MORALSCOPE_CACHE"] = before


@pytest.fixture(autouse=True, scope="session")
def _no_sentence_embedding() -> Iterator[None]:
    """Let its package be missing: reading a whole set would cost every diagnosis 20 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sentence_embedding, "MODULE", "not_installed_for_tests")
        yield


@pytest.fixture(autouse=True, scope="module")
def _settled() -> None:
    """Take what is loaded by now out of garbage collection, which walked all of torch each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "store")


def _byte_tokenizer(*, bos: bool) -> Any:
    """Train a byte-level BPE of 300 tokens; with ``bos`` it adds ``<s>`` and has a pad token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>"] if bos else ["</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(_CORPUS, trainer)
    if not bos:
        return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def _save_tiny(folder: Path, config: Any, tokenizer: Any) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():  # layers of the usual 0.02 hardly change anything
            parameter.data.mul_(5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_llama(folder: Path) -> Path:
    """Save a random Llama in a folder: 3 layers, width 32, BOS and pad token."""
    from transformers import LlamaConfig

    tokenizer = _byte_tokenizer(bos=True)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=TINY_WIDTH,
        intermediate_size=64,
        num_hidden_layers=TINY_LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return _save_tiny(folder / "tiny-llama", config, tokenizer)


@pytest.fixture(scope="session")
def tiny_llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random Llama: 3 layers, width 32, BOS and pad token."""
    return tiny_llama(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def tiny_gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random GPT-2: 3 layers, width 32, absolute positions, no pad token."""
    from transformers import GPT2Config

    tokenizer = _byte_tokenizer(bos=False)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=TINY_WIDTH,
        n_layer=TINY_LAYERS,
        n_head=4,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _save_tiny(tmp_path_factory.mktemp("models") / "tiny-gpt2", config, tokenizer)


@pytest.fixture
def llama_spec(tiny_llama_folder: Path) -> "ModelSpec":
    """Return the spec of the tiny Llama on the CPU."""
    from core.models.open_models import ModelSpec

    return ModelSpec("folder", str(tiny_llama_folder), device="cpu")


@pytest.fixture
def gpt2_spec(tiny_gpt2_folder: Path) -> "ModelSpec":
    """Return the spec of the tiny GPT-2 on the CPU."""
    from core.models.open_models import ModelSpec

    return ModelSpec("folder", str(tiny_gpt2_folder), device="cpu")


@pytest.fixture
def copy_spec(tiny_llama_folder: Path, tmp_path: Path) -> "ModelSpec":
    """Return the spec of a copy of the tiny Llama that the test may change."""
    from core.models.open_models import ModelSpec

    target = tmp_path / "copy"
    shutil.copytree(tiny_llama_folder, target)
    return ModelSpec("folder", str(target), device="cpu")


@pytest.fixture(scope="session")
def gemma(cache_root: Path) -> "OpenModel":
    """Return the packaged model, opened once; mark tests that use it with ``gemma``."""
    from core.models.open_models import ModelSpec, describe, open_model

    kept = Store(default_root())
    assert kept.root == cache_root
    return open_model(describe(ModelSpec(), kept), kept)
