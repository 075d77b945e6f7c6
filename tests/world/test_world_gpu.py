"""The smallest recipe on a GPU: the same code, and rewards that say there what they say on a CPU."""

from pathlib import Path

import pytest
import torch

from rglcd_pipelines.training.fit import pick_device
from rglcd_pipelines.world.batches import draw_batch, unit
from rglcd_pipelines.world.figures import load_reward
from rglcd_pipelines.world.sampling import load_teacher, sample
from rglcd_pipelines.world.stand_ins import (
    ClipRewardConfig,
    ImageRewardConfig,
    make_clip_reward,
    make_image_reward,
)
from tests.world.make_parts import FEW, SIDE, tiny_clip, tiny_teacher
from tests.world.preferences.make_preferences import tiny_judge, tiny_preferences

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, and rewards trained on its early samples, all made on the GPU."""
    place = tmp_path_factory.mktemp("world")
    preferences = tiny_preferences(place, tiny_teacher(place), tiny_judge(place))
    make_clip_reward(ClipRewardConfig(fit=FEW), "hps", tiny_clip(place), preferences, place / "hps")
    small = ImageRewardConfig(
        width=32, heads=2, vision_layers=1, text_layers=1, naming=FEW, matching=FEW, fit=FEW
    )
    make_image_reward(small, preferences, place / "imgrwd")
    return place


def test_parts_are_made_there() -> None:
    assert pick_device().type == "cuda"


@pytest.mark.parametrize("name", ["hps", "imgrwd"])
def test_a_reward_says_what_it_says_on_a_cpu(world: Path, name: str) -> None:
    batch = draw_batch("figures", 0, 16, SIDE)
    cpu, gpu = (load_reward(world, name, torch.device(kind)) for kind in ("cpu", "cuda"))
    here = cpu.score(unit(batch.images), batch.captions)
    with torch.autocast("cuda", torch.bfloat16):
        there = gpu.score(unit(batch.images.cuda()), batch.captions)
    assert torch.backends.cudnn.allow_tf32
    torch.testing.assert_close(there.cpu(), here, atol=1e-4, rtol=1e-4)


def test_the_teacher_samples_there(world: Path) -> None:
    captions = draw_batch("figures", 0, 4, SIDE).captions
    drawn = sample(load_teacher(world / "teacher", torch.device("cuda")), captions, range(4), steps=2)
    assert drawn.shape == (4, 3, SIDE, SIDE)
    assert drawn.isfinite().all()
