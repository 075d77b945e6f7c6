"""What the tests of generation draw, and with whom."""

from pathlib import Path
from typing import Any

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.diffusion.vae import VaeConfig
from rglcd_pipelines.evaluation.generate.generate import draw_samples
from rglcd_pipelines.evaluation.generate.models import Drawer, StudentDrawer, TeacherDrawer
from rglcd_pipelines.evaluation.generate.samples import Samples
from rglcd_pipelines.evaluation.generate.settings import DrawConfig
from rglcd_pipelines.evaluation.prompts.make import make_prompts
from rglcd_pipelines.evaluation.prompts.settings import PromptsConfig
from rglcd_pipelines.training.distill import distill
from tests.training.make_job import Bench

TEXTS = ["a red cat", "a white leaf, thin", "a large blue star", "a small pink cake", "a black crown"]
SETS = {
    "first": {"kind": "file"},
    "second": {"kind": "file", "count": 3, "repeats": 2, "steps": ["2", "slow"]},
}
TEACHER = {
    "slow": {"sampler": "ddim", "steps": 5, "guidance_scale": 3.0},
    "fast": {"sampler": "dpm", "steps": 3, "guidance_scale": 3.0, "negative_prompt": "a blue dog"},
    "free": {"sampler": "ddim", "steps": 2, "guidance_scale": 1.0},
}


class Gallery:
    """A trained student and its teacher."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.folder, self.bench = folder, bench
        self.student = distill(bench.job(folder / "lcm", steps=2))
        file = folder / "prompts.txt"
        file.write_text("\n".join(TEXTS), encoding="utf-8")
        told = {name: {**told, "path": str(file)} for name, told in SETS.items()}
        self.sets = check(PromptsConfig, {"sets": told}).sets
        self.prompts = make_prompts(self.sets, folder / "prompts")

    def config(self, **changed: Any) -> DrawConfig:
        told = {"steps": [1, 2], "omega": 3.0, "teacher": TEACHER, "batch_size": 2, "shard_size": 3}
        return check(DrawConfig, {**told, "precision": "fp32", "progress": False, **changed})

    def student_drawer(self, config: DrawConfig) -> StudentDrawer:
        return StudentDrawer.of(self.student.path, config)

    def teacher_drawer(self, config: DrawConfig) -> TeacherDrawer:
        teacher, vae = check(TeacherConfig, self.bench.teacher), check(VaeConfig, self.bench.vae)
        return TeacherDrawer(teacher, vae, config.teacher)

    def draw(self, place: Path, drawer: Drawer | None = None, **changed: Any) -> Artifact:
        config = self.config(**changed)
        drawer = drawer or self.student_drawer(config)
        return draw_samples(place.name, drawer, self.prompts, self.sets, config, place)


def contents(samples: Artifact) -> dict[tuple[str, str], bytes]:
    """Every picture, by column and key."""
    opened = Samples(samples)
    return {(column, prompt.key): png for column in opened.columns for prompt, png in opened.pngs(column)}
