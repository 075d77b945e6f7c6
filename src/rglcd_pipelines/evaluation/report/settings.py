"""What the report takes for what."""

from pydantic import Field

from rglcd_pipelines.config import Config


class ReportConfig(Config):
    title: str = "Reward guided latent consistency distillation"
    """The heading of report.html."""
    baseline: str = "lcm"
    """The family of the plain latent consistency model, to which all others are compared."""
    columns: list[str] = Field(default=["2", "4"], min_length=1)
    """The columns of students' samples in Table 1, fewest steps first."""
    baseline_column: str = "4"
    """The column with which the baseline stands in Table 1, and to which all others are compared."""
    teacher_column: str = "ddim-50"
    """The teacher's column in Table 1."""
    fast_columns: list[str] = Field(default=["dpm-4", "dpm-25"])
    """The teacher's columns in the form of Tables 3 and 4."""
    benchmark: str = "hpsv2"
    """The prompt set whose groups are the columns of Table 1."""
    score: str = "hps"
    """The measure of that set in Table 1: the reward by which orderings are judged."""
    protocol: str = "HPSv2 benchmark: mean and deviation of 10 chunks a style, ×100"
    """The protocol's name, told below Table 1."""
    distance_set: str = "coco"
    """The prompt set whose samples are compared with real pictures."""
    distance: str = "fid"
    """The measure of that set in Table 1."""
    distance_margin: float = Field(default=1.0, ge=0)
    """Within so much of the baseline's distance the CLIP variant's is taken to be the same."""
    noise: str = "high_frequency"
    """The measure of high-frequency noise."""
    traces: list[str] = Field(default=["high_frequency", "reconstruction"], min_length=1)
    """The measures of noise, of any kind, that are compared with antialiasing and without."""
    gold: str | None = "gold"
    """The measure of the judge that no model is trained towards, where there is one."""
    story: list[str] = Field(default=["lcm", "hps", "imgrwd", "imgrwd_lrm"])
    """The families whose pictures are shown as they learn."""
    prompts: int = Field(default=6, ge=1, le=40)
    """How many prompts are shown in each section with pictures, evenly over the groups."""
    looks: int = Field(default=4, ge=2, le=12)
    """At how many moments of a training its pictures are shown."""
    resamples: int = Field(default=1000, ge=100)
    """Of each bootstrap interval that the report computes."""
    seed: int = Field(default=0, ge=0)
    """Of these intervals."""
