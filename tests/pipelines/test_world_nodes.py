"""The recipe's picture is drawn once for each world."""

from pathlib import Path

from PIL import Image

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.datasets.picture import PictureDataset
from rglcd_pipelines.pipelines.world.nodes import DRAWN_FROM, SHEET, picture


def test_a_sheet_that_shows_this_world_is_not_drawn_again(tmp_path: Path) -> None:
    world = Artifact(tmp_path / "nowhere", {"kind": "world", "figures": {"teacher_noun": 0.8}})
    drawn = Image.new("RGB", (4, 4), "red")
    drawn.info[DRAWN_FROM] = world.digest
    PictureDataset(str(tmp_path / SHEET)).save(drawn)
    before = (tmp_path / SHEET).read_bytes()
    again = picture(world, str(tmp_path))
    assert again.getpixel((0, 0)) == (255, 0, 0)
    PictureDataset(str(tmp_path / SHEET)).save(again)
    assert (tmp_path / SHEET).read_bytes() == before
