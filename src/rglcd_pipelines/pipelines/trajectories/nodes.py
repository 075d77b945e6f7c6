"""The trajectories stage's node; it imports what it calls when it runs: all of it imports torch."""

from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.diffusion.settings import TeacherConfig
from rglcd_pipelines.training.settings import TrajectoriesConfig


def answer(
    latents: Artifact,
    teacher: TeacherConfig,
    config: TrajectoriesConfig,
    place: str,
    seed: int | None = None,
) -> Artifact:
    """The teacher's answers to every step's draws, at `place`; to those of another seed, beside it."""
    from rglcd_pipelines.diffusion.teacher import load_teacher
    from rglcd_pipelines.progress import hide_library_bars
    from rglcd_pipelines.training.identity import teacher_identity
    from rglcd_pipelines.training.trajectories import make_trajectories

    hide_library_bars()
    if seed is not None:
        draws = config.draws.model_copy(update={"seed": seed})
        config, place = config.model_copy(update={"draws": draws}), f"{place}-seed{seed}"
    about = teacher_identity(teacher)
    return make_trajectories(config, latents, lambda: load_teacher(teacher), about, Path(place))
