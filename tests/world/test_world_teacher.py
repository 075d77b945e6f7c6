"""The world's teacher: its loss by hand, a folder that diffusers loads, and runs that are killed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file
from torch import nn

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.training import fit as fitting
from rglcd_pipelines.world import teacher as teachers
from rglcd_pipelines.world import teacher_data
from rglcd_pipelines.world.sampling import load_teacher, sample
from rglcd_pipelines.world.teacher import SCHEDULE, TeacherConfig, make_teacher, v_loss
from rglcd_pipelines.world.teacher_data import TIMESTEPS, draw_noisy, draw_times, padded_ids
from tests.world.make_parts import FEW, SIDE, TEACHER, tiny_autoencoder, tiny_clip, tiny_teacher


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workshop")


@pytest.fixture(scope="module")
def teacher(workshop: Path) -> Artifact:
    return tiny_teacher(workshop)


def test_the_velocity_is_the_schedulers(teacher: Artifact) -> None:
    """A UNet that knows the answer has no loss, at every timestep, by diffusers' own scheduler."""
    scheduler: Any = DDIMScheduler.from_config(SCHEDULE)
    text = StableDiffusionPipeline.from_pretrained(str(teacher.path), low_cpu_mem_usage=False).text_encoder
    z = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(3))

    class Knows(nn.Module):
        def forward(
            self, noisy: torch.Tensor, t: torch.Tensor, encoder_hidden_states: torch.Tensor
        ) -> object:
            assert encoder_hidden_states.shape == (64, 32, 32)
            alpha = scheduler.alphas_cumprod[t][:, None, None, None]
            noise = (noisy - alpha.sqrt() * z) / (1 - alpha).sqrt()
            return type("Out", (), {"sample": scheduler.get_velocity(z, noise, t)})

    ids = torch.ones(64, 32, dtype=torch.int64)
    batch = draw_noisy(z.numpy(), ids.numpy(), FEW.model_copy(update={"batch_size": 64}), 0.5, step=0)
    z = batch.z
    assert v_loss(Knows(), text, batch)["loss"].item() < 1e-6
    assert scheduler.config.num_train_timesteps == TIMESTEPS


def test_left_out_captions_are_the_pipelines_empty_one(teacher: Artifact) -> None:
    """What stands in for a caption in training is what the pipeline uses for guidance."""
    pipeline: Any = StableDiffusionPipeline.from_pretrained(str(teacher.path), low_cpu_mem_usage=False)
    seen = []

    class Notes(nn.Module):
        def forward(self, input_ids: torch.Tensor) -> object:
            seen.append(input_ids)
            return pipeline.text_encoder(input_ids=input_ids)

    class Copies(nn.Module):
        def forward(self, x: torch.Tensor, *_: object, **__: object) -> object:
            return type("Out", (), {"sample": x})

    ids = torch.from_numpy(padded_ids(pipeline.tokenizer, ["a red cat"] * 40).astype(np.int64))
    few = FEW.model_copy(update={"batch_size": 40})
    v_loss(Copies(), Notes(), draw_noisy(torch.randn(40, 4, 8, 8).numpy(), ids.numpy(), few, 0.5, step=0))
    empty = pipeline.tokenizer("", padding="max_length", return_tensors="pt").input_ids[0]
    rows = {tuple(row) for row in seen[0].tolist()}
    assert rows == {tuple(empty.tolist()), tuple(ids[0].tolist())}


def test_the_folder_is_a_pipeline_of_diffusers(teacher: Artifact) -> None:
    pipeline: Any = StableDiffusionPipeline.from_pretrained(str(teacher.path), low_cpu_mem_usage=False)
    assert {
        next(part.parameters()).dtype for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    } == {torch.float32}
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    image = pipeline(
        "a large red cat on a plain white background, solid style", num_inference_steps=2
    ).images[0]
    assert image.size == (SIDE, SIDE)


def test_the_folder_says_nothing_of_where_it_was_made(teacher: Artifact, workshop: Path) -> None:
    for file in teacher.path.rglob("*.json"):
        assert str(workshop) not in file.read_text(encoding="utf-8"), file


def test_parts_are_kept_in_half_precision(teacher: Artifact, workshop: Path) -> None:
    files = [*teacher.path.rglob("*.safetensors"), *tiny_clip(workshop).path.glob("*.safetensors")]
    assert len(files) == 5  # the UNet's two, the autoencoder, the text encoder, CLIP
    for file in files:
        assert {tensor.dtype for tensor in load_file(file).values()} <= {torch.float16, torch.int64}, file


def test_times_are_drawn_everywhere_and_most_often_in_the_middle() -> None:
    times = draw_times(100_000, torch.Generator().manual_seed(0))
    assert (times.min(), times.max()) == (0, TIMESTEPS - 1)
    shares = torch.histc(times.float(), bins=10, min=0, max=TIMESTEPS) / len(times)
    # a quarter of a tenth, and three quarters of what the normal distribution has between the logits
    normal = torch.distributions.Normal(0.3, 1.0)
    edges = normal.cdf(torch.logit(torch.linspace(0, 1, 11)))
    assert torch.allclose(shares, 0.025 + 0.75 * edges.diff(), atol=0.004)


def test_a_batch_comes_from_its_step_alone_and_in_parts_is_the_same() -> None:
    z, ids = torch.randn(20, 4, 8, 8).numpy(), torch.randint(0, 9, (20, 32)).numpy()
    one, again, other = (draw_noisy(z, ids, FEW, 0.5, step) for step in (3, 3, 4))
    assert torch.equal(one.noise, again.noise)
    assert torch.equal(one.t, again.t)
    assert not torch.equal(one.noise, other.noise)
    halves = one.split(2)
    assert torch.equal(torch.cat([half.noise for half in halves]), one.noise)
    assert torch.equal(torch.cat([half.dropped for half in halves]), one.dropped)
    assert one.split(3) == [one]  # eight samples are no three parts


def test_the_caption_as_a_whole_moves_the_unet_beside_its_attention(teacher: Artifact) -> None:
    unet: Any = load_teacher(teacher.path, torch.device("cpu")).pipeline.unet
    for module in unet.modules():
        if type(module).__name__ == "BasicTransformerBlock":
            nn.init.zeros_(module.attn2.to_out[0].weight)
    states = torch.randn(2, 32, 32, generator=torch.Generator().manual_seed(0))
    noisy = torch.zeros(2, 4, 8, 8)
    first, second = unet(noisy, 500, encoder_hidden_states=states).sample
    assert not torch.allclose(first, second, atol=1e-4)


def test_samples_are_the_pipelines_and_depend_on_their_own_seed_alone(teacher: Artifact) -> None:
    loaded = load_teacher(teacher.path, torch.device("cpu"))
    captions = ["a red cat", "a blue dog", "a green bus"]
    together = sample(loaded, captions, [1, 2, 3], steps=2, omega=3.0)
    alone = sample(loaded, captions[1:2], [2], steps=2, omega=3.0)
    assert together.shape == (3, 3, SIDE, SIDE)
    assert 0 <= together.min() <= together.max() <= 1
    assert torch.allclose(together[1:2], alone, atol=0.02)  # bf16
    assert not torch.allclose(sample(loaded, captions[1:2], [9], steps=2, omega=3.0), alone, atol=0.02)


def test_early_weights_are_kept_and_differ(teacher: Artifact) -> None:
    last, early = (
        load_teacher(teacher.path, torch.device("cpu"), early=early).pipeline.unet.conv_in.weight
        for early in (None, "step-000002")
    )
    assert not torch.equal(last, early)
    with pytest.raises(DataError, match=r"step-9\.safetensors: there is no such file.*world\.teacher\.early"):
        load_teacher(teacher.path, torch.device("cpu"), early="step-9")


def test_nothing_of_the_making_is_left(teacher: Artifact) -> None:
    names = {file.relative_to(teacher.path).as_posix() for file in teacher.path.rglob("*") if file.is_file()}
    assert names == {*teacher.manifest["files"], "manifest.json"}


@pytest.mark.parametrize("killed", ["encoding", "learning", "clearing up"])
def test_a_killed_teacher_goes_on_to_the_same_weights(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    monkeypatch.setattr(teacher_data, "BLOCK", 24)
    monkeypatch.setattr(fitting, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    whole = make_teacher(
        TEACHER, tiny_autoencoder(workshop), tiny_clip(workshop), SIDE, tmp_path / "whole" / "teacher"
    )
    calls = []

    def dies(at: int, does: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == at:
                raise KeyboardInterrupt
            return does(*arguments, **named)

        return call

    if killed == "encoding":
        monkeypatch.setattr(teacher_data, "_encode", dies(2, teacher_data._encode))
    elif killed == "learning":
        monkeypatch.setattr(teachers, "v_loss", dies(3, v_loss))
    else:
        monkeypatch.setattr(Path, "unlink", dies(2, Path.unlink))
    place = tmp_path / "killed" / "teacher"
    with pytest.raises(KeyboardInterrupt):
        make_teacher(TEACHER, tiny_autoencoder(workshop), tiny_clip(workshop), SIDE, place)
    assert not place.exists()
    calls.extend([1] * 9)
    resumed = make_teacher(TEACHER, tiny_autoencoder(workshop), tiny_clip(workshop), SIDE, place)
    assert resumed.manifest == whole.manifest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block_out_channels": [33, 32]}, "holds 33, no multiple of 32"),
        ({"block_out_channels": [0, 32]}, "holds 0, no multiple of 32"),
        ({"early": []}, "early"),
        ({"attention": [True]}, "attention has 1 entries, block_out_channels 2"),
        ({"early": [99]}, "early holds 99, not between 1 and fit.steps = 3"),
    ],
)
def test_impossible_teachers_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(TeacherConfig, TEACHER.model_dump() | change)
