"""How each part of the world is made. Importing this imports torch."""

from collections.abc import Callable, Mapping
from pathlib import Path

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.pipelines.world.config import WorldConfig
from rglcd_pipelines.progress import hide_library_bars
from rglcd_pipelines.world import autoencoder, clip, sets, stand_ins, teacher
from rglcd_pipelines.world.judge import make as judge
from rglcd_pipelines.world.preferences import pairs

FORMATS = {
    "autoencoder": autoencoder.FORMAT,
    "clip": clip.FORMAT,
    "judge": judge.FORMAT,
    "teacher": teacher.FORMAT,
    "preferences": pairs.FORMAT,
    "stand_ins": stand_ins.FORMAT,
    "sets": sets.FORMAT,
}
"""Which of them count: a part that today's code would make otherwise is not the same part."""


def make_part(name: str, config: WorldConfig, made: Mapping[str, Artifact], place: Path) -> Artifact:
    """The part `name` at `place`, from the parts that it needs."""
    hide_library_bars()
    makers: dict[str, Callable[[], Artifact]] = {
        "autoencoder": lambda: autoencoder.make_autoencoder(config.autoencoder, config.resolution, place),
        "clip": lambda: clip.make_clip(config.clip, config.resolution, place),
        "judge": lambda: judge.make_judge(config.judge, config.resolution, place),
        "teacher": lambda: teacher.make_teacher(
            config.teacher, made["autoencoder"], made["clip"], config.resolution, place
        ),
        "preferences": lambda: pairs.make_preferences(
            config.preferences, made["teacher"], made["judge"], config.resolution, place
        ),
        "hps": lambda: stand_ins.make_clip_reward(
            config.hps, "hps", made["clip"], made["preferences"], place
        ),
        "pick": lambda: stand_ins.make_clip_reward(
            config.pick, "pick", made["clip"], made["preferences"], place
        ),
        "imgrwd": lambda: stand_ins.make_image_reward(config.imgrwd, made["preferences"], place),
        "sets": lambda: sets.make_sets(config.sets, config.resolution, place),
    }
    return makers[name]()
