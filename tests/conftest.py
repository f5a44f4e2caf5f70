"""What several folders of tests share: a model small enough to run in milliseconds."""

import gc
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings

from gradpipe.studies.study import Study
from tests.fake_hub import FakeHub, fake_hub
from tests.quick_records import quicken_records

ROOT = Path(__file__).resolve().parents[1]
#: Where there is none, tests that look at pages skip.
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

# No example is timed: beside other work, any of them may take a second.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """What all tests of this process share from here on."""
    if "dagster" in sys.modules:
        quicken_records()
    # The millions of objects of imported modules and collected tests stay to the end: no collection
    # of garbage has to look at them again.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference numbers and data beside the project."""
    folder = ROOT.parent / "shared"
    if not (folder / "layer-gradient").is_dir():
        pytest.skip(f"{folder}/layer-gradient, the paper's own data, is not there")
    return folder


def save_small_model(folder: Path, seed: int = 0) -> None:
    """A random three-layer Llama with a byte-level tokenizer, saved as any user's local folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: i for i, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(alphabet),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def save_mixture(model: Path, folder: Path) -> None:
    """A mixture of experts with a model's tokenizer; its weights are stacked as they are loaded."""
    from transformers import AutoConfig, AutoModelForCausalLM

    if folder != model:
        shutil.copytree(model, folder)
    config = AutoConfig.for_model(
        "mixtral",
        vocab_size=256,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in a folder of its own."""
    folder = tmp_path_factory.mktemp("models") / "small"
    save_small_model(folder)
    return folder


@pytest.fixture
def other_model(small_model: Path, tmp_path: Path) -> Path:
    """Another model: the small one with other weights."""
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "other"
    shutil.copytree(small_model, folder)
    model = AutoModelForCausalLM.from_pretrained(small_model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, named by the environment."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("GRADPIPE_HOME", str(folder))
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@contextmanager
def without_images() -> Iterator[None]:
    """Reports without their PNG and SVG files: seconds per run, and tested where they are drawn."""
    from gradpipe.report.build import build_report

    def build(inputs: Any, folder: Path, images: bool = True) -> Path:
        return build_report(inputs, folder, images=False)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradpipe.report.build.build_report", build)
        yield


@pytest.fixture
def no_images() -> Iterator[None]:
    """Runs of the test build reports without images."""
    with without_images():
        yield


@pytest.fixture
def plain_report(no_images: None) -> Iterator[None]:
    """A report that only names its models: verdicts and charts take seconds per run."""

    import polars as pl

    def inputs(_: Any, cells: list[Any], __: Any) -> Any:
        names = [cell.model for cell in cells]
        zeros = pl.lit(0).alias("examples"), pl.lit(0).alias("unusable")
        rows = pl.DataFrame({"model": names}).with_columns(*zeros)
        return SimpleNamespace(rows=rows, provenance={})

    def build(given: Any, folder: Path, **_: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(json.dumps(given.rows["model"].to_list()))

    # A context of its own ends before that of `no_images`, whose function it replaces.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.report._inputs", inputs)
        patch.setattr("gradpipe.report.build.build_report", build)
        yield


@contextmanager
def one_report() -> Iterator[None]:
    """A run that takes long writes no report before its last one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.running.interim_reports.FIRST_AFTER", float("inf"))
        yield


@contextmanager
def workspace_of(folder: Path) -> Iterator[None]:
    """A workspace in a folder is the current one, for fixtures that several tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADPIPE_HOME", str(folder / "workspace"))
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@dataclass(frozen=True)
class FirstRun:
    """The workspace of a finished run, and the run's counts per stage."""

    workspace: Path
    counts: dict[str, Any]


@pytest.fixture(scope="session")
def first_run(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """A run of the small model on two benchmarks, of which tests change copies."""
    from assets.resources import Accelerator
    from assets.running.runner import Runner
    from storage.workspace import Workspace

    folder = tmp_path_factory.mktemp("first_run")
    with workspace_of(folder), without_images(), one_report():
        study = study_of(small_model, "mini_maths", "mini_obscure")
        runner = Runner(Workspace.current(), study, Accelerator())
        counts = runner.bring_up_to_date()
        assert not runner.failures
        assert not (folder / "workspace" / "report" / "charts").exists()
        return FirstRun(folder / "workspace", counts)


@pytest.fixture
def hub_like(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, str, str], FakeHub]]:
    """Serve a folder as a repository of the hub, of a name and at a commit, until the test ends."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ExitStack() as stack:
        yield lambda *repository: stack.enter_context(fake_hub(*repository))


def study_of(model: Path, *benchmarks: str, **changes: Any) -> Study:
    """Two items of each benchmark on a model that is called ``small``."""
    settings: dict[str, Any] = {
        "name": "small",
        "models": [{"id": str(model), "name": "small"}],
        "benchmarks": benchmarks,
        "sample": 2,
        "sampling": "first",
        "protocol": {"preset": "standard", "max_length": 4096},
    }
    return Study.model_validate(settings | changes)
