"""Teachers say what diffusers' own pipelines make them say."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.teacher import Teacher, load_teacher
from rglcd_pipelines.errors import ConfigError, DataError
from tests.diffusion.test_solver import normal
from tests.diffusion.tiny_teachers import SIDE, save_sd, save_sdxl

CAPTIONS = ["a large red cat on a plain white background, solid style", "a dog"]


def load(folder: Path) -> Teacher:
    return load_teacher(TeacherConfig(source="folder", id=str(folder), latent_factor=2))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("teachers")
    return {
        "sd15": save_sd(place / "sd15"),
        "sd21": save_sd(place / "sd21", "v_prediction"),
        "sdxl": save_sdxl(place / "sdxl"),
    }


@pytest.mark.parametrize("name", ["sd15", "sd21"])
def test_stable_diffusion_is_told_what_its_pipeline_tells_it(folders: dict[str, Path], name: str) -> None:
    teacher = load(folders[name])
    pipeline: Any = StableDiffusionPipeline.from_pretrained(folders[name], low_cpu_mem_usage=False)
    said, unsaid = pipeline.encode_prompt(CAPTIONS, "cpu", 1, True)
    assert torch.equal(teacher.conditioner.say(CAPTIONS).states, said)
    assert torch.equal(teacher.conditioner.leave_out(2).states, unsaid)
    z, t = normal(0, 2, 4, SIDE, SIDE), torch.tensor([19, 999])
    with_caption, without = teacher.answer(
        z, t, teacher.conditioner.say(CAPTIONS), teacher.conditioner.leave_out(2)
    )
    with torch.no_grad():
        expected = [pipeline.unet(z, t, encoder_hidden_states=states).sample for states in (said, unsaid)]
    torch.testing.assert_close(with_caption, expected[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(without, expected[1], atol=1e-5, rtol=1e-4)
    assert teacher.schedule.prediction == {"sd15": "epsilon", "sd21": "v_prediction"}[name]


def test_sdxl_is_told_what_its_pipeline_tells_it(folders: dict[str, Path]) -> None:
    teacher = load(folders["sdxl"])
    pipeline: Any = StableDiffusionXLPipeline.from_pretrained(
        folders["sdxl"], low_cpu_mem_usage=False, add_watermarker=False
    )
    said, unsaid, pooled, unpooled = pipeline.encode_prompt(CAPTIONS, device="cpu")
    ours, nothing = teacher.conditioner.say(CAPTIONS), teacher.conditioner.leave_out(2)
    assert torch.equal(ours.states, said)
    assert ours.pooled is not None
    assert nothing.pooled is not None
    assert torch.equal(ours.pooled, pooled)
    assert torch.equal(nothing.states, unsaid)
    assert torch.equal(nothing.pooled, unpooled)
    pixels = (2 * SIDE, 2 * SIDE)
    sizes = pipeline._get_add_time_ids(pixels, (0, 0), pixels, torch.float32, 24)
    assert ours.sizes is not None
    assert torch.equal(ours.sizes, sizes.expand(2, -1))
    z, t = normal(0, 2, 4, SIDE, SIDE), torch.tensor([19, 999])
    found, _ = teacher.answer(z, t, ours, nothing)
    with torch.no_grad():
        beside = {"text_embeds": pooled, "time_ids": sizes.expand(2, -1)}
        expected = pipeline.unet(z, t, encoder_hidden_states=said, added_cond_kwargs=beside).sample
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_an_empty_prompt_of_sdxl_may_mean_no_zeros(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["sdxl"], tmp_path / "sdxl")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"force_zeros_for_empty_prompt": False}))
    nothing, empty = load(folder).conditioner.leave_out(1), load(folder).conditioner.say([""])
    assert torch.equal(nothing.states, empty.states)
    assert nothing.states.abs().sum() > 0


def test_all_of_it_is_frozen(folders: dict[str, Path]) -> None:
    teacher = load(folders["sd21"])
    assert not any(parameter.requires_grad for parameter in teacher.unet.parameters())
    assert not teacher.unet.training


def without(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        place = folder / name
        shutil.rmtree(place) if place.is_dir() else place.unlink()

    return remove


def spoilt(name: str, content: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_text(content)

    return spoil


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (without("model_index.json"), "holds no model_index.json, so it is no pipeline of diffusers"),
        (without("scheduler"), "scheduler: is missing. A StableDiffusionPipeline has one"),
        (without("text_encoder"), "text_encoder: is missing"),
        (without("unet/diffusion_pytorch_model.safetensors"), "the teacher cannot be loaded"),
        (spoilt("model_index.json", "{"), "model_index.json: cannot be read"),
        (spoilt("model_index.json", '{"_class_name": "FluxPipeline"}'), "describes a FluxPipeline; teachers"),
        (
            spoilt("scheduler/scheduler_config.json", '{"prediction_type": "flow_prediction"}'),
            "scheduler_config.json: prediction_type is 'flow_prediction'",
        ),
    ],
)
def test_a_folder_that_is_no_teacher_is_refused(
    folders: dict[str, Path], tmp_path: Path, damage: Callable[[Path], None], told: str
) -> None:
    folder = shutil.copytree(folders["sd21"], tmp_path / "teacher")
    damage(folder)
    with pytest.raises(DataError) as error:
        load(folder)
    assert told in str(error.value)
    assert str(folder) in str(error.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such folder. Set teacher\.id"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"source": "hub", "id": "a/b"}, "revision is missing; pin a/b to a commit"),
        ({"source": "folder", "id": "a", "revision": "b"}, "revision means nothing for a folder"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(TeacherConfig, settings)
