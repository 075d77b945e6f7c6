"""Checkpoints are whole or absent, and what comes back is what was saved."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rglcd_pipelines.training.checkpoints import (
    STATE,
    Checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from rglcd_pipelines.training.settings import OptimizerConfig
from rglcd_pipelines.training.update import Update


def checkpoint(step: int) -> Checkpoint:
    tensors = {"online": {"w": torch.full((3,), float(step))}, "target": {"w": torch.zeros(2, 2)}}
    return Checkpoint(step, tensors, {"seconds": 1.5})


def test_what_was_saved_comes_back_and_the_last_few_stay(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        save_checkpoint(tmp_path, checkpoint(step), keep=2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["step-0000015", "step-0000020"]
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 20
    assert found.state == {"seconds": 1.5}
    assert torch.equal(found.tensors["online"]["w"], torch.full((3,), 20.0))
    assert newest_checkpoint(tmp_path / "nowhere") is None


def cut(place: Path) -> None:
    file = place / "online.safetensors"
    file.write_bytes(file.read_bytes()[:-4])


def flip(place: Path) -> None:
    file = place / "target.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def no_state(place: Path) -> None:
    (place / STATE).unlink()


def a_pickle(place: Path) -> None:
    (place / "online.safetensors").unlink()
    (place / "online.pt").write_bytes(pickle.dumps({"w": 1}))
    told = json.loads((place / STATE).read_text())
    told["files"] = {"online.pt": "0"}
    (place / STATE).write_text(json.dumps(told))


@pytest.mark.parametrize("damage", [cut, flip, no_state, a_pickle])
def test_a_damaged_newest_one_is_told_of_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    for step in (5, 10):
        place = save_checkpoint(tmp_path, checkpoint(step), keep=3)
    damage(place)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    assert "step-0000010: the checkpoint is damaged" in caplog.text


def test_a_run_killed_while_it_saved_leaves_nothing_that_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, checkpoint(5), keep=2)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rglcd_pipelines.training.checkpoints.write_json", dies)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, checkpoint(10), keep=2)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 5
    save_checkpoint(tmp_path, checkpoint(10), keep=2)  # the same step once more
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 10


def test_an_optimizer_goes_on_as_if_nothing_had_been() -> None:
    def steps(model: nn.Module, update: Update, which: range) -> None:
        for step in which:
            x = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
            model(x).square().mean().backward()
            update.step(step, torch.zeros(()))

    config = OptimizerConfig(lr=0.1, weight_decay=0.1, warmup_steps=2, schedule="cosine")
    torch.manual_seed(0)
    whole = nn.Linear(3, 2)
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    first.load_state_dict(whole.state_dict())
    steps(whole, Update(list(whole.parameters()), config, 6), range(6))
    before = Update(list(first.parameters()), config, 6)
    steps(first, before, range(3))
    second.load_state_dict(first.state_dict())
    after = Update(list(second.parameters()), config, 6)
    after.load(before.tensors())
    steps(second, after, range(3, 6))
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
