import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.world import icons
from rglcd_pipelines.world.icons import icon
from rglcd_pipelines.world.vocabulary import NOUNS, STYLES


def centred(style: str, noun: str, pixels: int = 24) -> np.ndarray:
    """All that the icon covers, in the middle of a square."""
    mask = icon(style, noun, pixels).max(axis=0)
    height, width = mask.shape
    square = np.zeros((pixels, pixels))
    top, left = (pixels - height) // 2, (pixels - width) // 2
    square[top : top + height, left : left + width] = mask / 255
    return square


@pytest.mark.parametrize("style", STYLES)
def test_every_noun_has_its_own_glyph(style: str) -> None:
    drawn = {noun: centred(style, noun) for noun in NOUNS}
    assert all(picture.mean() > 0.08 for picture in drawn.values())
    for a, b in combinations(drawn, 2):
        assert np.abs(drawn[a] - drawn[b]).mean() > 0.03, (a, b)


@pytest.mark.parametrize("noun", NOUNS)
def test_styles_differ(noun: str) -> None:
    def layers(style: str) -> np.ndarray:
        mask = icon(style, noun, 24)
        return np.array([np.pad(m, [(0, 24 - m.shape[0]), (0, 24 - m.shape[1])]) for m in mask]) / 255

    for a, b in combinations(STYLES, 2):
        assert np.abs(layers(a) - layers(b)).sum(axis=0).mean() > 0.1, (a, b)


@pytest.mark.parametrize("pixels", [9, 17, 28, 61])
def test_ink_fills_the_asked_size(pixels: int) -> None:
    for style in STYLES:
        for noun in ("anchor", "car", "pencil"):
            mask = icon(style, noun, pixels)
            assert mask.dtype == np.uint8
            assert max(mask.shape[1:]) == pixels
            ink = mask.max(axis=0)
            assert all(edge.any() for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))
            assert len(np.unique(ink)) > 4, "edges are antialiased"


def test_the_object_itself_is_seen_in_every_style() -> None:
    for style in STYLES:
        for noun in NOUNS:
            assert (icon(style, noun, 17)[1] > 128).mean() > 0.08, (style, noun)


def test_qt_is_never_imported() -> None:
    code = (
        "import sys; from rglcd_pipelines.world.render import render; "
        "from rglcd_pipelines.world.scenes import draw_scenes; render(draw_scenes(0, 0, 1)[0]); "
        "print([m for m in sys.modules if m.split('.')[0] in ('qtawesome', 'qtpy', 'torch', 'PyQt5')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_missing_fonts_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = ModuleSpec("qtawesome", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    for found, told in ((None, "qtawesome"), (spec, "there is no phosphor font")):
        icons._files.cache_clear()
        monkeypatch.setattr(icons, "find_spec", lambda _, found=found: found)
        with pytest.raises(DataError, match=told):
            icons._files("phosphor")
    icons._files.cache_clear()


def test_a_glyph_that_went_away_is_told() -> None:
    assert importlib.util.find_spec("qtawesome")
    with pytest.raises(DataError, match="no glyph 'unicorn-bold'"):
        icons._character("phosphor", "unicorn-bold")
