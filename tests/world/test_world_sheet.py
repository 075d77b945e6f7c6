"""The sheet: every picture is on it, enlarged without a change, and every text fits."""

import numpy as np
import pytest
import torch

from rglcd_pipelines.world.batches import draw_batch
from rglcd_pipelines.world.sheet import COLUMNS, INK, SCALE, Row, Section, draw_sections


def sections(captions: list[str] | None = None) -> list[Section]:
    batch = draw_batch("figures", 0, COLUMNS, 32)
    texts = Row("", texts=[(caption, INK) for caption in captions or batch.captions])
    return [Section("One", "About it.", [texts, Row("pictures", batch.images)])]


def test_every_picture_is_on_the_sheet_to_the_pixel() -> None:
    sheet = np.asarray(draw_sections("Title", sections()))
    assert sheet.shape[1] == pytest.approx(1200, abs=30)
    for picture in draw_batch("figures", 0, COLUMNS, 32).images:
        enlarged = np.kron(picture.permute(1, 2, 0).numpy(), np.ones((SCALE, SCALE, 1), np.uint8))
        side = enlarged.shape[0]
        corner = (sheet == enlarged[0, 0]).all(-1)
        starts = np.argwhere(corner[: sheet.shape[0] - side + 1, : sheet.shape[1] - side + 1])
        assert any(np.array_equal(sheet[y : y + side, x : x + side], enlarged) for y, x in starts)


def test_a_section_more_makes_it_longer_and_moves_nothing_above() -> None:
    one = np.asarray(draw_sections("Title", sections()))
    two = np.asarray(draw_sections("Title", sections() * 2))
    assert two.shape[0] > one.shape[0]
    above = one.shape[0] - 40
    assert np.array_equal(one[:above], two[:above])


def test_a_long_caption_is_cut_not_drawn_over_its_neighbours() -> None:
    short, long = (
        draw_sections("Title", sections([text] + ["b"] * (COLUMNS - 1))) for text in ("a", "word " * 100)
    )
    # Seven lines at most, so at most six lines more than one.
    assert 0 < long.height - short.height <= 6 * 14


def test_pictures_of_any_size_are_taken() -> None:
    large = [Section("One", "", [Row("x", torch.zeros(COLUMNS, 3, 48, 48, dtype=torch.uint8))])]
    assert draw_sections("Title", large).width > 1600
