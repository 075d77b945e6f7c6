"""Class names and templates: open_clip's, or a file's; whatever is wrong with a file is told."""

import json
from pathlib import Path
from typing import Any

import open_clip
import pytest

from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.latent_reward.zero_shot_settings import ZeroShotConfig
from rglcd_pipelines.latent_reward.zero_shot_texts import caption_templates, class_names, filled

VALUES: dict[str, Any] = {
    "set": {"source": "folder", "path": "val"},
    "classes": "imagenet",
    "templates": "openai",
    "floor": 0.1,
}


def test_open_clips_names_and_templates() -> None:
    assert class_names("imagenet") == list(open_clip.IMAGENET_CLASSNAMES)
    for name, theirs in (
        ("openai", open_clip.OPENAI_IMAGENET_TEMPLATES),
        ("simple", open_clip.SIMPLE_IMAGENET_TEMPLATES),
    ):
        ours = caption_templates(name)
        assert [filled(text, "tench") for text in ours] == [template("tench") for template in theirs]


def test_those_of_files(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(["a {}", "drawn {}, é"], ensure_ascii=False), encoding="utf-8")
    assert caption_templates(str(file)) == class_names(str(file)) == ["a {}", "drawn {}, é"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read (No such file"),
        (b"cat\ndog\n", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"{}", "holds no list"),
        (b"[]", "an empty one"),
        (b'"cat"', "holds no list"),
        (b'["cat", 7]', "has 7 at 1, no string"),
        (b'["cat", " "]', "no string with words"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_bytes(content)
    for read, parameter in ((class_names, "classes"), (caption_templates, "templates")):
        with pytest.raises(DataError) as caught:
            read(str(file))
        assert str(caught.value).startswith(f"lrm.zero_shot.{parameter}: {file}")
        assert words in str(caught.value)


def test_a_template_without_a_gap(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('["a {}", "a { }"]')
    with pytest.raises(
        DataError, match=r"zero_shot\.templates: .*x\.json holds 'a \{ \}', which has no \{\}"
    ):
        caption_templates(str(file))


def test_settings_for_imagenet() -> None:
    shards = {"repository": "timm/imagenet-1k-wds", "pattern": "imagenet1k-validation-*.tar"}
    found = check(ZeroShotConfig, VALUES | {"set": {"source": "shards", "shards": shards}}, "lrm.zero_shot")
    assert found.set.shards is not None
    assert found.set.shards.revision is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": "imagnet"}, "classes is 'imagnet'; give imagenet, or a file that ends in .json"),
        ({"templates": "open"}, "templates is 'open'; give openai or simple, or a file"),
        ({"floor": 60}, "lrm.zero_shot.floor"),
        ({"floor": -0.1}, "lrm.zero_shot.floor"),
        ({"batch_size": 0}, "lrm.zero_shot.batch_size"),
        ({"set": {"source": "folder"}}, "lrm.zero_shot.set: source is folder, but path is missing"),
        ({"flor": 1}, "did you mean lrm.zero_shot.floor?"),
    ],
)
def test_impossible_settings(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(ZeroShotConfig, VALUES | changes, "lrm.zero_shot")
    assert words in str(caught.value)
