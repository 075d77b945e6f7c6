"""Each section's words come from its numbers, and what cannot be made is left out with its command."""

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.evaluation.prompts.prompt import Prompt
from rglcd_pipelines.evaluation.report.blocks import Charts, LeftOut, Section, Sheets, Table, Words
from rglcd_pipelines.evaluation.report.compare import Comparer
from rglcd_pipelines.evaluation.report.context import Context
from rglcd_pipelines.evaluation.report.models import Model, Models
from rglcd_pipelines.evaluation.report.pictures import chosen, shown_close, shown_whole
from rglcd_pipelines.evaluation.report.sections.beta import beta_section
from rglcd_pipelines.evaluation.report.sections.distances import distances_section
from rglcd_pipelines.evaluation.report.sections.effect import effect_section
from rglcd_pipelines.evaluation.report.sections.fast import fast_section
from rglcd_pipelines.evaluation.report.sections.iterations import iterations_section, spread
from rglcd_pipelines.evaluation.report.sections.resizing import resizing_section
from rglcd_pipelines.evaluation.report.sections.samples import samples_section
from rglcd_pipelines.evaluation.report.sections.speed import speed_section
from rglcd_pipelines.evaluation.report.sections.training import read_watch, training_section
from rglcd_pipelines.evaluation.report.sections.watch import watch_section
from rglcd_pipelines.evaluation.report.settings import ReportConfig
from rglcd_pipelines.evaluation.report.spectra import mean_spectrum
from rglcd_pipelines.evaluation.report.style import apart


def context(config: ReportConfig, models: list[Model]) -> Context:
    return Context(config, Models(models), Comparer(config))


def words(section: Section | LeftOut) -> list[str]:
    assert isinstance(section, Section)
    blocks = [block for block in section.blocks if isinstance(block, Words)]
    return [sentence for block in blocks for sentence in block.sentences]


def tables(section: Section | LeftOut) -> list[Table]:
    assert isinstance(section, Section)
    return [block for block in section.blocks if isinstance(block, Table)]


def bare(models: list[Model]) -> list[Model]:
    """Without samples, training's course or other settings of a family."""
    return [replace(one, samples=None, student=None) for one in models if one.name == one.family]


def test_what_has_no_data_is_left_out(config: ReportConfig, models: list[Model]) -> None:
    few = context(config, bare([one for one in models if one.name in ("lcm", "hps")]))
    made = [
        samples_section(few), fast_section(few), beta_section(few), iterations_section(few),
        effect_section(few), resizing_section(few), training_section(few), speed_section(few),
    ]  # fmt: skip
    assert all(isinstance(one, LeftOut) for one in made)
    assert all("kedro run --pipeline=" in one.command for one in made if isinstance(one, LeftOut))


def test_resizing_tells_what_is_left_with_antialiasing(config: ReportConfig, models: list[Model]) -> None:
    sentences = words(resizing_section(context(config, models)))
    assert len(sentences) == 2
    names = ("lcm", "imgrwd", "imgrwd-aliased")
    numbers = {one.name: one.scores.values("4", "hpsv2", "high_frequency").mean() * 1e3
               for one in models if one.name in names}  # fmt: skip
    assert f"{numbers['imgrwd']:.2f}" in sentences[0]
    assert f"{numbers['imgrwd-aliased']:.2f}" in sentences[0]
    added = numbers["imgrwd-aliased"] - numbers["imgrwd"]
    share = added / (numbers["imgrwd-aliased"] - numbers["lcm"])
    told = f"more than the LCM's without antialiasing, {100 * share:.0f} % ("
    assert told in sentences[0]
    low, high = sentences[0].split(told)[1].split(")")[0].split(" to ")
    assert int(low) <= round(100 * share) <= int(high)
    left = numbers["imgrwd"] - numbers["lcm"]
    assert f"with antialiasing it differs from that by +{left:.2f}" in sentences[0]
    assert "still there" not in sentences[0]


def test_resizing_tells_of_every_trace(config: ReportConfig, models: list[Model]) -> None:
    traces = ["high_frequency", "saturation", "nothing_measured"]
    section = resizing_section(context(config.model_copy(update={"traces": traces}), models))
    assert len(words(section)) == 4
    assert all("saturation is" in sentence for sentence in words(section)[2:])
    assert isinstance(section, Section)
    charts = next(block for block in section.blocks if isinstance(block, Charts))
    assert [one.name for one in charts.charts] == ["resizing", "resizing-saturation"]


@pytest.mark.parametrize(
    ("smooth", "aliased", "told"),
    [
        ("pick_lrm", "hps", "with antialiasing there is less than the LCM's"),
        ("lcm", "hps", "is left with antialiasing is open"),
        ("hps", "lcm", "the resizing adds none"),
    ],
)
def test_resizing_claims_no_share_where_none_is_known_to_be_left(
    config: ReportConfig, models: list[Model], smooth: str, aliased: str, told: str
) -> None:
    by_name = {one.name: one for one in models}
    pair = [replace(by_name["hps"], scores=by_name[smooth].scores),
            replace(by_name["hps-aliased"], scores=by_name[aliased].scores)]  # fmt: skip
    sentence = words(resizing_section(context(config, [by_name["lcm"], *pair])))[0]
    assert told in sentence
    assert "%" not in sentence


def test_resizing_compares_the_seeds_that_all_have(config: ReportConfig, models: list[Model]) -> None:
    by_name = {one.name: one for one in models}
    more = [replace(by_name[name], seed=1, name=f"{name}-seed1") for name in ("lcm", "hps")]
    names = ("lcm", "hps", "hps-aliased")
    sentence = words(resizing_section(context(config, [*(by_name[name] for name in names), *more])))[0]
    assert "(compared by 1 seed of training)" in sentence
    alone = words(resizing_section(context(config, [by_name[name] for name in names])))[0]
    assert "compared by" not in alone
    assert sentence.split("So of what")[1] == alone.split("So of what")[1]


def test_resizing_claims_no_share_where_it_adds_nothing(config: ReportConfig, models: list[Model]) -> None:
    by_name = {one.name: one for one in models}
    same = replace(by_name["hps-aliased"], scores=by_name["hps"].scores)
    section = resizing_section(context(config, [by_name["lcm"], by_name["hps"], same]))
    assert "resizing's" not in words(section)[0]
    assert "changes it by 0.00" in words(section)[0]


def test_beta_tells_where_it_is_best(config: ReportConfig, models: list[Model]) -> None:
    section = beta_section(context(config, models))
    told = words(section)
    assert [one.split(":")[0] for one in told] == ["RG-LCM (ImgRwd)", "RG-LCM (HPS)"]
    assert "at β 0.1" in told[1]
    assert "at β 10" in told[1]
    assert [len(table.rows) for table in tables(section)] == [9]
    assert isinstance(section, Section)
    assert isinstance(section.blocks[0], Charts)
    names = [chart.name for chart in section.blocks[0].charts]
    assert names == ["beta-hps", "beta-fid", "beta-high_frequency", "beta-gold"]


def test_training_marks_where_they_part(config: ReportConfig, models: list[Model]) -> None:
    told = words(training_section(context(config, models)))
    parted = [one for one in told if "is best at step" in one]
    assert [one.split(":")[0] for one in parted] == ["RG-LCM (ImgRwd)", "RG-LCM (ImgRwd) + LRM"]
    assert "gold is best at step 60 (0.520) and lower at the end" in parted[0]
    assert len(told) == 6


@pytest.mark.parametrize("text", ["", "step\nx\n", "step,hps\n1\n", "no,step\n1,one\n", "step,hps\n1,high\n"])
def test_damaged_looks_are_told_by_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "watch.csv"
    file.write_text(text)
    if text == "":
        assert read_watch(file) == ([], {})
        return
    with pytest.raises(DataError, match=r"watch\.csv: cannot be read"):
        read_watch(file)


def test_a_figure_that_some_looks_lack_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "watch.csv"
    file.write_text("step,hps,gold\n0,1,\n60,2,3\n")
    assert read_watch(file) == ([0, 60], {"hps": [1.0, 2.0]})


def test_a_damaged_sheet_is_told_by_file(config: ReportConfig, models: list[Model], tmp_path: Path) -> None:
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "60.png").write_bytes(b"no picture")
    hps = next(one for one in models if one.name == "hps")
    with pytest.raises(DataError, match=r"progress/60\.png: cannot be read"):
        iterations_section(context(config, [replace(hps, student=tmp_path)]))


def test_iterations_show_fractions_of_training(config: ReportConfig, models: list[Model]) -> None:
    section = iterations_section(context(config, models))
    assert isinstance(section, Section)
    first = section.blocks[0]
    assert isinstance(first, Sheets)
    assert first.titles[0] == "step 60: 25 % of training"
    assert first.titles[-1] == "step 240: 100 % of training"


@given(st.sets(st.integers(1, 10_000), min_size=1), st.integers(2, 12))
def test_looks_are_spread_and_end_with_the_last(steps: set[int], count: int) -> None:
    found = spread(sorted(steps), count)
    assert found[-1] == max(steps)
    assert set(found) <= steps
    assert found == sorted(set(found))
    assert len(found) <= count


def test_the_watch_parts_looks_judges_and_changes(config: ReportConfig, models: list[Model]) -> None:
    section = watch_section(context(config, models))
    assert [table.caption for table in tables(section)] == [
        "What no reward asks for",
        "Every judge of every model",
        "What every judge takes off after a way through JPEG",
    ]
    assert [head.text for head in tables(section)[0].heads[0]][2:] == [
        "high-frequency energy ×1000", "saturation"
    ]  # fmt: skip
    assert any("farthest from the LCM's 1.80 is RG-LCM (ImgRwd), 5.0" in one for one in words(section))


def test_speed_counts_asking_the_network(config: ReportConfig, models: list[Model]) -> None:
    section = speed_section(context(config, models))
    assert words(section)[0] == (
        "In 2 steps a student asks its network 2 times and takes 0.011 s an image; "
        "the teacher in 50 steps asks 100 times and takes 0.4 s."
    )
    by_name = {row[0].text + row[0].small: row[3].text for row in tables(section)[0].rows}
    assert by_name["Teacher50 steps, DDIM"] == "1.0×"
    assert by_name["LCM2 steps"] == "36.6×"


def test_distances_have_every_row_of_table_1(config: ReportConfig, models: list[Model]) -> None:
    table = tables(distances_section(context(config, models)))[0]
    assert len(table.rows) == 16
    assert [head.text for head in table.heads[0]][2:] == [
        "fid-mini ↓", "kid-mini ×1000 ↓", "precision ↑", "recall ↑"
    ]  # fmt: skip


def test_without_a_judge_it_is_said(config: ReportConfig, models: list[Model]) -> None:
    assert words(fast_section(context(config, models)))[0].startswith("No vision-language judge was asked")


def test_the_latent_reward_model_is_shown_beside_the_reward(
    config: ReportConfig, models: list[Model]
) -> None:
    section = effect_section(context(config, models))
    assert isinstance(section, Section)
    assert len(tables(section)[0].rows) == 3 * 4
    assert isinstance(section.blocks[1], Charts)
    names = [chart.name for chart in section.blocks[1].charts]
    assert names == ["spectrum-pick", "spectrum-imgrwd", "spectrum-hps"]


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12), st.floats(0.01, 20))
def test_labels_are_pushed_apart_in_their_order(heights: list[float], least: float) -> None:
    moved = apart(heights, least)
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    placed = [moved[place] for place in order]
    assert all(after - before >= least - 1e-6 for before, after in pairwise(placed))
    assert sum(moved) == pytest.approx(sum(heights), abs=1e-6)


def test_labels_that_are_apart_stay() -> None:
    assert apart([3.0, 1.0, 2.0], 1.0) == [3.0, 1.0, 2.0]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 40))
def test_prompts_are_chosen_evenly(sizes: list[int], count: int) -> None:
    prompts = [Prompt(f"{group}/{number}", "s", str(group), "", 0)
               for group, size in enumerate(sizes) for number in range(size)]  # fmt: skip
    found = chosen(prompts, count)
    groups = [size for size in sizes if size]
    assert len({prompt.key for prompt in found}) == len(found) <= count
    shares = [sum(one.group == str(group) for one in found) for group, size in enumerate(sizes) if size]
    assert all(count // len(groups) <= share or share == size
               for share, size in zip(shares, groups, strict=True))  # fmt: skip


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("size", "whole", "close"),
    [
        ((32, 32), (160, 160, True), (224, 224, True)),
        ((64, 48), (128, 96, True), (192, 144, True)),
        ((160, 160), (160, 160, True), (160, 160, True)),
        ((512, 512), (256, 256, False), (224, 224, True)),
        ((1024, 768), (256, 192, False), (224, 224, True)),
    ],
)
def test_pictures_are_large_enough_to_judge(
    size: tuple[int, int], whole: tuple[int, int, bool], close: tuple[int, int, bool]
) -> None:
    for show, expected in ((shown_whole, whole), (shown_close, close)):
        one = show(_png(*size), "alt")
        assert (one.width, one.height, one.pixelated) == expected


def test_a_damaged_picture_is_told_by_its_name() -> None:
    with pytest.raises(DataError, match="the picture of hpsv2/photo/00001 cannot be read"):
        shown_whole(b"nothing", "hpsv2/photo/00001")


def test_the_spectrum_of_white_noise_is_flat() -> None:
    drawn = np.random.default_rng(0)
    noise = np.repeat(drawn.normal(0.5, 0.1, size=(100, 48, 32, 1)), 3, axis=-1)
    _, power = mean_spectrum(iter(noise))
    assert power == pytest.approx(np.full(16, 0.01), rel=0.2)


def test_the_spectrum_of_a_wave_is_at_its_frequency() -> None:
    wave = np.broadcast_to(0.5 + 0.5 * np.cos(2 * np.pi * 0.25 * np.arange(64))[None, :, None], (64, 64, 3))
    frequency, power = mean_spectrum([wave])
    assert abs(frequency[power.argmax()] - 0.25) <= 0.5 / 32
    assert power.max() > 1e6 * np.median(power)
