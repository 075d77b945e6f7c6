"""The ablation of iterations (Figure 7): what a student draws at fractions of its training."""

from pathlib import Path

from PIL import Image

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.report.blocks import Block, LeftOut, Section, Sheets, Shown
from rglcd_pipelines.evaluation.report.context import DISTILL, Context

TITLE = "The course of training (Figure 7)"


def iterations_section(context: Context) -> Section | LeftOut:
    blocks: list[Block] = []
    for family in context.config.story:
        setting = context.models.main(family)
        student = setting.first.student if setting else None
        if setting is None or student is None or not (files := progress(student)):
            continue
        looks = spread(sorted(files), context.config.looks)
        last = max(files)
        titles = [f"step {step:,}: {100 * step / last:.0f} % of training" for step in looks]
        sheets = [_sheet(files[step], f"{setting.label} at step {step}") for step in looks]
        caption = f"{setting.label}: the same prompts and noise as it learns."
        blocks.append(Sheets(caption, titles, sheets))
    if not blocks:
        why = "no student kept pictures of its training"
        return LeftOut(TITLE, why, DISTILL.format(context.config.story[0] if context.config.story else "hps"))
    return Section("iterations", TITLE, blocks)


def progress(student: Path) -> dict[int, Path]:
    """The sheets that a student kept, by step."""
    files = (student / "progress").glob("*.png")
    return {int(file.stem): file for file in files if file.stem.isdigit()}


def spread(steps: list[int], count: int) -> list[int]:
    """So many of them, the last among them, as evenly as there are."""
    if len(steps) <= count:
        return steps
    wanted = [steps[-1] * (number + 1) / count for number in range(count)]
    return sorted({min(steps, key=lambda step: abs(step - one)) for one in wanted})


def _sheet(file: Path, alt: str) -> Shown:
    try:
        with Image.open(file) as image:
            width, height = image.size
            image.verify()
    except (OSError, SyntaxError) as error:
        raise DataError(
            f"{file}: cannot be read ({error}). Train this student again, or remove the file."
        ) from None
    return Shown(file.read_bytes(), "image/png", alt, width, height, False)
