"""What stops a pretraining: no numbers, captions of somebody else, batches that cannot be shared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rglcd_pipelines.data.latents.stream import permutation
from rglcd_pipelines.errors import ConfigError, DataError, RglcdError
from rglcd_pipelines.latent_reward.contrastive import Contrast
from rglcd_pipelines.training.launch import run
from rglcd_pipelines.training.pretrain import pretrain
from rglcd_pipelines.training.pretrain_job import PretrainJob
from rglcd_pipelines.training.ranks import Ranks
from tests.data.make_latents import make_latents
from tests.rewards.tiny_models import save_clip
from tests.training.make_pretrain import BATCH, RESNET, VIT, Pretraining, told_latents

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Pretraining:
    return Pretraining(tmp_path_factory.mktemp("pretraining"))


def on(bench: Pretraining, place: Path, made: dict[str, Any], tower: dict[str, Any] = VIT) -> PretrainJob:
    """A job on other latents."""
    latents = make_latents(bench.folder / f"of-{place.parent.name}", made=made)
    changed = {"latents": str(latents.path), "captions": str(bench.captions_of(latents).path)}
    return bench.job(place, tower).model_copy(update=changed)


def check_that_nothing_bad_was_kept(folder: Path, steps: int) -> None:
    assert not (folder / "lrm").exists()
    (scratch,) = (folder / ".partial").glob("scratch-*")
    saved = sorted((scratch / "checkpoints").glob("step-*"))
    assert [place.name for place in saved] == [f"step-{steps:07d}"]
    for file in saved[0].glob("*.safetensors"):
        for tensor in load_file(file).values():
            assert tensor.isfinite().all()
    assert len((scratch / "losses.csv").read_text(encoding="utf-8").splitlines()) == steps + 1


@pytest.mark.parametrize("tower", [VIT, RESNET], ids=["vit", "resnet"])
def test_latents_that_are_no_numbers(bench: Pretraining, tmp_path: Path, tower: dict[str, Any]) -> None:
    """A ResNet keeps running means as well, of all that it sees."""
    made = told_latents()
    made["latents"][permutation(len(made["keys"]), 0, 0)[2 * BATCH + 3], 1, 2, 3] = (
        np.nan
    )  # in the third step
    job = on(bench, tmp_path / "lrm", made, tower)
    with pytest.raises(
        RglcdError,
        match=r"^lrm: the contrastive loss is no finite number at step 3\. No weight was changed by it; the "
        r"checkpoint of step 2 stays\. Lower lrm\.pretrain\.optimizer\.lr",
    ):
        pretrain(job)
    check_that_nothing_bad_was_kept(tmp_path, 2)


def test_a_channel_of_which_nothing_is_known(bench: Pretraining, tmp_path: Path) -> None:
    made = told_latents()
    made["latents"][:, 1] = np.inf
    with pytest.raises(RglcdError, match=r"lrm: the contrastive loss is no finite number at step 1"):
        pretrain(on(bench, tmp_path / "lrm", made))


def test_latents_that_are_all_the_same(bench: Pretraining, tmp_path: Path) -> None:
    """There is nothing to be learnt from them, but nothing to be divided by zero either."""
    made = told_latents()
    made["latents"][:] = 0
    rows = pretrain(on(bench, tmp_path / "lrm", made)).manifest
    assert rows["figures"]["right"] == pytest.approx(1 / BATCH)


def test_a_learning_rate_at_which_it_explodes(bench: Pretraining, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "lrm", optimizer={"lr": 1e30}, checkpoints={"every": 1})
    with pytest.raises(RglcdError, match=r"lrm: the contrastive loss is no finite number at step 2\."):
        pretrain(job)
    check_that_nothing_bad_was_kept(tmp_path, 1)


def test_a_gradient_that_is_no_number(
    bench: Pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, ask = list[int](), Contrast.__call__

    def bad(self: Contrast, latents: Tensor, *others: Any) -> dict[str, Tensor]:
        figures = ask(self, latents, *others)
        asked.append(1)
        if len(asked) == 4:
            figures["loss"] = figures["loss"] + 0 * (0 * latents.sum()).sqrt()  # itself, it is one
        return figures

    monkeypatch.setattr(Contrast, "__call__", bad)
    with pytest.raises(
        RglcdError,
        match=r"lrm: the gradient's norm is no finite number at step 4\..* checkpoint of step 3 stays",
    ):
        pretrain(bench.job(tmp_path / "lrm", checkpoints={"every": 3}))
    check_that_nothing_bad_was_kept(tmp_path, 3)


def test_captions_of_other_latents(bench: Pretraining, tmp_path: Path) -> None:
    made = told_latents()
    made["latents"] = made["latents"][::-1]
    others = make_latents(tmp_path / "others", made=made)
    job = bench.job(tmp_path / "lrm").model_copy(update={"latents": str(others.path)})
    with pytest.raises(
        DataError, match=r"captions-of-latents: are the captions of other latents than .*others"
    ):
        pretrain(job)


def test_captions_that_another_tower_read(bench: Pretraining, tmp_path: Path) -> None:
    half = {"id": str(save_clip(tmp_path / "half", torch.float16))}
    told = bench.job(tmp_path / "lrm").model_dump() | {"text": half}
    with pytest.raises(
        DataError, match=r"captions-of-latents: are read by another text tower than lrm\.text"
    ):
        pretrain(PretrainJob.model_validate(told))


def test_folders_of_something_else(bench: Pretraining, tmp_path: Path) -> None:
    job = bench.job(tmp_path / "lrm")
    for change, told in (
        ({"captions": job.latents}, r"latents: holds latents, not captions"),
        ({"latents": job.captions}, r"captions-of-latents: holds captions, not latents"),
        ({"captions": str(tmp_path / "nowhere")}, r"nowhere: there are no captions here.*--pipeline=lrm"),
    ):
        with pytest.raises(DataError, match=told):
            pretrain(job.model_copy(update=change))


def test_towers_and_batches_that_the_latents_do_not_allow(bench: Pretraining, tmp_path: Path) -> None:
    wide = {"kind": "vit", "width": 32, "layers": 2, "patch_size": 3, "head_width": 16}
    with pytest.raises(
        ConfigError, match=r"lrm\.tower: a side of 8 cannot be divided by 3; change patch_size"
    ):
        pretrain(bench.job(tmp_path / "lrm", wide))
    with pytest.raises(DataError, match=r"24 latents are fewer than a batch of 25"):
        pretrain(bench.job(tmp_path / "lrm", batch_size=25))


def test_a_batch_that_processes_cannot_share(
    bench: Pretraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = rf"lrm\.pretrain\.batch_size: {BATCH} latents cannot be shared by 3 processes; make it a multiple"
    with pytest.raises(ConfigError, match=told):
        run(bench.job(tmp_path / "lrm", processes=3))
    # However many were started by torchrun, whatever the job says.
    monkeypatch.setattr(Ranks, "join", lambda: Ranks(1, 3, torch.device("cpu")))
    with pytest.raises(ConfigError, match=told):
        pretrain(bench.job(tmp_path / "lrm"))


def test_a_job_is_a_file_that_says_all(bench: Pretraining, tmp_path: Path) -> None:
    from rglcd_pipelines.training.jobs import read_job

    job, file = bench.job(tmp_path / "lrm"), tmp_path / "lrm.json"
    job.write(file)
    assert read_job(file) == job
    file.write_text(json.dumps(json.loads(file.read_text()) | {"towre": {}}))
    with pytest.raises(
        ConfigError, match=r"lrm\.json\.towre: there is no such parameter; did you mean .*tower"
    ):
        read_job(file)
    with pytest.raises(DataError, match=r"nowhere\.json: cannot be read"):
        read_job(tmp_path / "nowhere.json")
