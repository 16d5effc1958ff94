"""Share one tiny encoder, and one detector trained from it end to end, among the detector's tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch

from guardrail.training.data.authored import Authored, read_authored
from guardrail.training.detector import mix, run
from tests.training import tiny

RECIPE = """
seed = 5
max_tokens = 48
name = "detector-tiny"
language = ["en"]
teacher_name = "a random teacher"
student_name = "a random student"
hardware = "a test"
limits = "Knows nothing."

[data]
authored_repeat = 2
authored_weight = 1.5
teacher_rows = 60
student_rows = 50
noise_share = 0.3

[data.caps]
bold_wiki = 20
cad = 24
pairs_wnc_small = 30
toxic_spans = 24

[data.unlabelled]
redditbias = 12

[teacher]
epochs = 1
learning_rate = 1e-3
head_rate = 5e-3
token_budget = 800
int8_labels = true
freeze_embeddings = true
frozen_layers = 1

[finish]
epochs = 1
learning_rate = 1e-3
head_rate = 5e-3
token_budget = 800
replay = 10

[student]
layers = 1
epochs = 2
learning_rate = 2e-3
head_rate = 5e-3
token_budget = 800
gold_share = 0.5
freeze_embeddings = true
"""


@cache
def few_authored() -> list[Authored]:
    """Return every fortieth authored row."""
    return read_authored()[::40]


@dataclass(frozen=True, slots=True)
class Trained:
    """Where a finished run and what it was made from lie."""

    recipe: Path
    pool: Path
    teacher: Path
    student: Path
    work: Path

    def arguments(self, **other: Path) -> list[str]:
        """Return the command line of the run, with other folders where given."""
        paths = {"recipe": self.recipe, "data": self.pool, "teacher": self.teacher, "student": self.student}
        paths |= {"work": self.work} | other
        return [part for name, path in paths.items() for part in (f"--{name}", str(path))]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Leave the machine's other cores to others."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pretrained encoder, tiny and random."""
    return tiny.save_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def few_authored_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on every fortieth authored row only."""
    monkeypatch.setattr(mix, "read_authored", few_authored)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, base: Path) -> Trained:
    """A run from the command line, all its stages done."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    teacher = tiny.save_base(folder / "teacher_base", seed=1)
    made = Trained(recipe, tiny.pool(folder / "pool"), teacher, base, folder / "work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mix, "read_authored", few_authored)
        patch.setattr("sys.argv", ["run", *made.arguments(), "--threads", "1"])
        run.main()
    return made
