"""How pictures are drawn; importing this imports no torch."""

from typing import Literal

from pydantic import Field, model_validator

from rglcd_pipelines.config import Config


class TeacherColumnConfig(Config):
    """One way in which the teacher draws."""

    sampler: Literal["ddim", "dpm"]
    """DDIM, or DPM-Solver++ (2M)."""
    steps: int = Field(ge=1, le=1000)
    """How many steps it takes."""
    guidance_scale: float = Field(default=7.5, ge=1)
    """As diffusers counts: 1 is no guidance, and then the network is asked once a step instead of twice."""
    negative_prompt: str | None = None
    """What it is guided away from; null is the empty caption."""


class DrawConfig(Config):
    """How pictures are drawn, by whichever model."""

    steps: list[int] = Field(default=[1, 2, 4, 8], min_length=1)
    """In how many steps a student draws; a column of its samples each."""
    omega: float = Field(default=8.0, ge=0)
    """A student's scale of guidance; as diffusers counts, guidance_scale is omega + 1."""
    teacher: dict[str, TeacherColumnConfig] = Field(min_length=1)
    """How the teacher draws, by the name of the column."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """What the UNet computes in; auto is bf16 on GPUs and fp32 on CPUs. Everything else is float32."""
    batch_size: int = Field(default=16, ge=1)
    """Pictures that are drawn at once."""
    shard_size: int = Field(default=500, ge=1)
    """Pictures of a shard; what a killed run has to draw again."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is drawn; auto is the GPU if there is one."""
    engine: Literal["local", "ray"] = "local"
    """Processes of this machine, or the actors of a Ray cluster whose machines all see the same folders."""
    workers: int | None = Field(default=None, ge=1)
    """Processes, each with a model; null is one per GPU, or 1 without."""
    lanes: int = Field(default=2, ge=1)
    """Threads of a worker that draw; on a CPU each of them takes one core."""
    progress: bool = True
    """Whether a progress bar is shown."""

    @model_validator(mode="after")
    def _columns_have_names_of_their_own(self) -> "DrawConfig":
        if twice := sorted({step for step in self.steps if self.steps.count(step) > 1}):
            raise ValueError(f"steps has {twice[0]} more than once; name each once")
        if odd := [step for step in self.steps if not 1 <= step <= 1000]:
            raise ValueError(f"steps has {odd[0]}; a student takes 1 step or more")
        if same := sorted({str(step) for step in self.steps} & set(self.teacher)):
            raise ValueError(f"teacher.{same[0]}: a student's column has that name; choose another")
        for name in self.teacher:
            if not name.replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"teacher.{name}: is no name of a column; use letters, digits, - and _")
        return self
