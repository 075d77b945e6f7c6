"""How models are evaluated; importing this imports no torch."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config
from rglcd_pipelines.errors import ConfigError
from rglcd_pipelines.evaluation.distances.settings import FeaturesConfig, ReferenceConfig
from rglcd_pipelines.evaluation.generate.settings import DrawConfig
from rglcd_pipelines.evaluation.prompts.settings import PromptSets
from rglcd_pipelines.rewards.settings import LATENT, RewardConfig

VIESCORE = ("semantic", "quality", "overall")
"""What a vision-language judge says of a picture, and the measures of it are named by."""
WATCHED = (
    "high_frequency",
    "high_frequency_share",
    "spectral_slope",
    "saturation",
    "contrast",
    "brightness",
    "reconstruction",
)
"""What is measured of pictures, whoever judges them; what brings torch is not imported to know it."""
TEACHER = "teacher"
"""The name under which the teacher's samples and scores stand among those of students."""


class EvaluateConfig(Config):
    """What models draw, and who judges it."""

    sets: PromptSets
    """What is drawn, by name; a set that is null is left out."""
    draw: DrawConfig
    """How it is drawn."""
    judges: list[str] = Field(min_length=1)
    """Names among `rewards`: each says what it thinks of every picture, uncapped."""
    gold: str | None = None
    """The one of them that knows: the miniature world's rule of taste. Nowhere else there is one."""
    suffix: str = ""
    """What is added to the names of judges and of FID where they are no more than stand-ins."""
    features: FeaturesConfig | None = None
    """What FID, KID, precision and recall look at; null leaves them out."""
    reference: ReferenceConfig | None = None
    """The real pictures that they compare with."""
    baseline: str = "lcm"
    """The variant whose level all others are compared with; it is evaluated beside each of them."""
    batch_size: int = Field(default=64, ge=1)
    """Pictures that judges look at at once."""
    lanes: int = Field(default=2, ge=1)
    """Threads of a worker that score; on a CPU each of them takes one core."""
    resamples: int = Field(default=1000, ge=100)
    """Of the bootstrap from which 95 % intervals come."""

    @model_validator(mode="after")
    def _fits_together(self) -> "EvaluateConfig":
        if twice := sorted({name for name in self.judges if self.judges.count(name) > 1}):
            raise ValueError(f"judges has {twice[0]} more than once; name each once")
        if self.gold is not None and self.gold not in self.judges:
            raise ValueError(f"gold is {self.gold}, which is not among judges; add it there")
        compared = [name for name, asked in self.sets.items() if "fid" in asked.use]
        if self.features is not None and compared and self.reference is None:
            raise ValueError(
                f"reference is missing, which sets.{compared[0]} is to be compared with; give it, set "
                "features to null, or take fid out of the set's use"
            )
        return self


def measures_of_judge(name: str, judge: RewardConfig) -> list[str]:
    """What a judge's scores are called; a vision-language model gives three."""
    return [f"{name}_{part}" for part in VIESCORE] if judge.kind == "judge" else [name]


def judges_of(names: Sequence[str], rewards: Mapping[str, RewardConfig]) -> dict[str, RewardConfig]:
    """Who judges. A cap serves whoever learns from a reward: a judge says all that it thinks."""
    found: dict[str, RewardConfig] = {}
    for name in names:
        if name not in rewards:
            near = get_close_matches(name, rewards, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(sorted(rewards))}"
            raise ConfigError(f"evaluate.judges: there is no reward {name!r}; {hint}")
        if rewards[name].kind == LATENT:
            raise ConfigError(
                f"evaluate.judges: {name} looks at latents, and pictures are judged; take it out"
            )
        found[name] = rewards[name].model_copy(update={"cap": None})
    return found
