"""A student arrives at the hub byte by byte, in one commit or not at all, and every refusal is told."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from rglcd_pipelines.artifacts import Artifact
from rglcd_pipelines.config import check
from rglcd_pipelines.errors import ConfigError, DataError
from rglcd_pipelines.training.publishing import PublishConfig, Published, publish
from tests.training import writable_hub
from tests.training.tiny_student import content, make_student
from tests.training.writable_hub import READ_ONLY, TOKEN, Hub, serve

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that the hub's library takes for its own, and a login of which it knows nothing else."""
    with serve(Hub()) as hub:
        constants = "huggingface_hub.constants"
        monkeypatch.setattr(f"{constants}.ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(f"{constants}.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(f"{constants}.HF_TOKEN_PATH", str(tmp_path / "token"))
        patient = SimpleNamespace(**vars(time) | {"sleep": lambda _: None})
        monkeypatch.setattr("huggingface_hub.utils._http.time", patient)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        huggingface_hub.close_session()
        yield hub
    huggingface_hub.close_session()


@pytest.fixture
def student(tmp_path: Path) -> Artifact:
    return make_student(tmp_path / "students" / "lcm")


def send(student: Artifact, **settings: Any) -> Published:
    config = check(PublishConfig, {"repository": "me/tiny"} | settings, "publish")
    return publish(config, student.path, "lcm")


def test_it_arrives_byte_by_byte_in_one_commit(hub: Hub, student: Artifact) -> None:
    published = send(student)
    repository = hub.repositories["me/tiny"]
    assert repository.files == content(student)
    assert repository.private
    assert repository.messages == [f"Student lcm ({student.digest[:12]})"]
    assert [path for path in hub.writes() if "/commit/" in path] == ["/api/models/me/tiny/commit/main"]
    assert len(hub.large) == 2
    head = f"{hub.url}/me/tiny/commit/{repository.branches['main']}"
    assert published == Published("me/tiny", head, student.digest)


def test_what_is_there_already_is_not_sent_again(
    hub: Hub, student: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    first = send(student)
    caplog.set_level("INFO", "rglcd_pipelines")
    before = len(hub.requests)
    assert send(student) == first
    assert "nothing to do" in caplog.text
    assert caplog.messages[-1].endswith(first.commit)
    assert len(hub.repositories["me/tiny"].messages) == 1
    assert not [path for _, path in hub.requests[before:] if "upload" in path or "commit" in path]


def test_a_card_that_was_edited_on_the_hub_stays(hub: Hub, student: Artifact) -> None:
    send(student)
    repository = hub.repositories["me/tiny"]
    repository.commit("main", {**repository.files, "README.md": b"# better words"}, "Update README.md")
    send(student)
    assert repository.files["README.md"] == b"# better words"
    assert len(repository.messages) == 2


def test_a_file_that_was_damaged_there_is_sent_again(hub: Hub, student: Artifact) -> None:
    send(student)
    repository = hub.repositories["me/tiny"]
    damaged = {**repository.files, WEIGHTS: b"other"}
    repository.commit("main", {name: damaged[name] for name in damaged if name != "README.md"}, "oops")
    send(student)
    assert repository.files == content(student)


def test_another_student_takes_the_place_and_leaves_what_is_not_ours(
    hub: Hub, student: Artifact, tmp_path: Path
) -> None:
    send(make_student(tmp_path / "other", {"unet/old.safetensors": b"old", "unet/config.json": b"{}"}))
    repository = hub.repositories["me/tiny"]
    repository.commit("main", {**repository.files, "pictures/a.png": b"a"}, "a picture")
    send(student, message="the second")
    assert repository.files == {**content(student), "pictures/a.png": b"a"}
    assert repository.messages[-1] == "the second"


def test_a_branch_of_its_own(hub: Hub, student: Artifact) -> None:
    send(student, revision="lcm/v1")
    repository = hub.repositories["me/tiny"]
    assert repository.at("lcm/v1") == content(student)
    assert repository.files == {}
    assert send(student, revision="lcm/v1").commit.endswith(repository.branches["lcm/v1"])


def test_only_who_asks_for_it_publishes_for_everybody(hub: Hub, student: Artifact) -> None:
    hub.add("me/tiny", private=False)
    with pytest.raises(
        DataError, match=r"me/tiny: is there already, and everybody may see it.*private=false"
    ):
        send(student)
    assert hub.repositories["me/tiny"].files == {}
    send(student, private=False)
    assert hub.repositories["me/tiny"].files == content(student)


def test_a_token_from_the_login(
    hub: Hub, student: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(DataError, match=r"there is no token to publish with.*hf auth login.*HF_TOKEN"):
        send(student)
    assert hub.requests == []
    (tmp_path / "token").write_text(TOKEN)
    send(student)
    assert hub.repositories["me/tiny"].files == content(student)


@pytest.mark.parametrize(
    ("token", "repository", "words"),
    [
        ("hf_wrong", "me/tiny", r"me/tiny: the hub does not take the token \(Invalid.*HF_TOKEN"),
        (READ_ONLY, "me/tiny", r"me/tiny: the token may not write there \(This token is read-only"),
        (TOKEN, "you/tiny", r"you/tiny: the token may not write there \(You don't have the rights"),
    ],
)
def test_a_token_that_is_refused(
    hub: Hub, student: Artifact, monkeypatch: pytest.MonkeyPatch, token: str, repository: str, words: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    for there in ([], ["me/tiny"]):
        for name in there:
            hub.add(name)
        with pytest.raises(DataError, match=words) as caught:
            send(student, repository=repository)
        assert "\n" not in str(caught.value)
        assert token not in str(caught.value)
        assert [made for made in hub.repositories.values() if made.files] == []
        assert list(hub.repositories) == there


@pytest.mark.parametrize(
    "name", ["tiny", "me/", "/tiny", "a/b/c", "me/ti ny", "me/-x", "m--e/x", "me/x.git", "me/x."]
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match=r"publish\.repository: .*give owner/name"):
        check(PublishConfig, {"repository": name}, "publish")


def test_without_a_repository_nothing_else_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"publish\.repository: is not set.*--params=publish\.repository="):
        publish(PublishConfig(), tmp_path / "none", "lcm")


def test_without_a_student_it_says_who_makes_one(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kedro run --pipeline=distill --params=variant=lcm"):
        publish(PublishConfig(repository="me/tiny"), tmp_path / "none", "lcm")
    assert hub.requests == []


@pytest.mark.parametrize(
    "at", ["POST /api/repos/create", "GET .*/tree/", "preupload", "PUT /lfs/", "/commit/"]
)
def test_a_hub_that_dies_leaves_nothing_by_halves(hub: Hub, student: Artifact, at: str) -> None:
    hub.add("me/tiny")
    hub.dies_at = at
    with pytest.raises(DataError, match=r"me/tiny: .*run the same command again") as caught:
        send(student)
    assert "\n" not in str(caught.value)
    assert hub.repositories["me/tiny"].files == {}
    hub.dies_at, hub.dead = "", False
    send(student)
    assert hub.repositories["me/tiny"].files == content(student)
    assert len(hub.repositories["me/tiny"].messages) == 1


def test_an_answer_that_got_lost(hub: Hub, student: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit is there although nobody heard of it: the same command finds it."""

    def lose(handler: Any, value: Any) -> None:
        if isinstance(value, dict) and "commitOid" in value:
            handler.close_connection = True
        else:
            tell(handler, value)

    tell = writable_hub._Handler.tell
    monkeypatch.setattr(writable_hub._Handler, "tell", lose)
    with pytest.raises(DataError, match="all of the student or nothing"):
        send(student)
    send(student)
    assert hub.repositories["me/tiny"].files == content(student)
    assert len(hub.repositories["me/tiny"].messages) == 1


def test_somebody_else_commits_at_the_same_time(hub: Hub, student: Artifact) -> None:
    repository = hub.add("me/tiny")

    def meddle(path: str) -> None:
        if "preupload" in path:
            repository.commit("main", {"notes.txt": b"mine"}, "notes")

    hub.before = meddle
    with pytest.raises(DataError, match="changed by somebody else just now"):
        send(student)
    assert repository.files == {"notes.txt": b"mine"}
    hub.before = lambda _: None
    send(student)
    assert repository.files == {**content(student), "notes.txt": b"mine"}


def test_offline(hub: Hub, student: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match="while HF_HUB_OFFLINE is set"):
        send(student)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"the hub broke .*Check the network and HF_ENDPOINT"):
        send(student)
    assert hub.requests == []


@pytest.mark.usefixtures("hub")
def test_a_page_of_somebody_else(student: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        writable_hub._Handler, "tell", lambda handler, _: handler._send(b"<html>Welcome to our hotel</html>")
    )
    with pytest.raises(DataError, match=r"what answers is no hub .*HF_ENDPOINT"):
        send(student)


def test_a_card_that_the_hub_refuses(hub: Hub, tmp_path: Path) -> None:
    card = b"---\nbase_model: data/06_models/base/world/teacher\n---\n"
    with pytest.raises(DataError, match=r'README.md.*"base_model" with value .* is not valid'):
        send(make_student(tmp_path / "s", {"README.md": card}))
    assert hub.repositories["me/tiny"].files == {}


def test_a_hub_without_xet_is_told_apart(
    hub: Hub, student: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    with pytest.raises(DataError, match="HF_HUB_DISABLE_XET=1"):
        send(student)
    assert hub.repositories["me/tiny"].files == {}


@pytest.mark.parametrize(
    ("name", "change", "told"), [(WEIGHTS, b"other", "was changed"), ("losses.csv", None, "is missing")]
)
def test_a_file_that_was_changed_is_refused(
    hub: Hub, student: Artifact, name: str, change: bytes | None, told: str
) -> None:
    file = student.path / name
    file.unlink() if change is None else file.write_bytes(change)
    with pytest.raises(DataError, match=f"{file}: {told} since the student was made"):
        send(student)
    assert hub.requests == []


def test_what_the_manifest_does_not_list_stays_here(hub: Hub, student: Artifact) -> None:
    (student.path / "notes.txt").write_text("mine")
    send(student)
    assert "notes.txt" not in hub.repositories["me/tiny"].files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("unet/config.json", '{"_name_or_path": "/home/me/.cache/huggingface/hub"}'),
        ("README.md", "| teacher | `/home/me/.cache/huggingface/hub` |"),
        ("README.md", "---\nbase_model: /home/me/.cache/huggingface/hub\n---\n"),
    ],
)
def test_paths_of_this_machine_are_nobodys_business(hub: Hub, tmp_path: Path, name: str, text: str) -> None:
    student = make_student(tmp_path / "s", {name: text.encode()})
    with pytest.raises(DataError, match=f"{name}: names /home/me/.cache/huggingface/hub, a path of this"):
        send(student)
    assert hub.requests == []
    if "base_model" not in text:
        send(student, local_paths=True)
        assert hub.repositories["me/tiny"].files == content(student)
