"""What the models draw from the same prompts and noise."""

from rglcd_pipelines.evaluation.report.blocks import LeftOut, Section
from rglcd_pipelines.evaluation.report.context import EVALUATE, Context
from rglcd_pipelines.evaluation.report.pictures import grid_of, prompts_of
from rglcd_pipelines.evaluation.report.sections.scores import detail_of

TITLE = "Samples"


def samples_section(context: Context) -> Section | LeftOut:
    config = context.config
    sides = [side for side in context.sides() if prompts_of(side, config.benchmark, config.prompts)]
    if not sides:
        return LeftOut(TITLE, "no samples are there", EVALUATE.format("lcm"))
    prompts = prompts_of(sides[0], config.benchmark, config.prompts)
    heads = [(f"{side.setting.label}, {detail_of(side)}", side) for side in sides]
    caption = "Every model's picture of the same prompts, from the same noise."
    return Section("samples", TITLE, [grid_of("samples", caption, heads, config.benchmark, prompts)])
