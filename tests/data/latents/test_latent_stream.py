import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rglcd_pipelines.data.latents import stream as latent_stream
from rglcd_pipelines.data.latents.reader import LatentReader
from rglcd_pipelines.data.latents.stream import LatentStream, permutation
from rglcd_pipelines.errors import DataError
from tests.data.make_latents import columns, make_latents

SAMPLES = 23


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LatentReader:
    return LatentReader(make_latents(tmp_path_factory.mktemp("stream") / "latents", 5, columns(SAMPLES)))


def sequence(length: int, seed: int = 7) -> list[int]:
    """The global sequence, straight from its definition."""
    epochs = -(-length // SAMPLES)
    return np.concatenate([permutation(SAMPLES, seed, e) for e in range(epochs)])[:length].tolist()


def step_of_all(streams: list[LatentStream]) -> list[int]:
    """What all ranks take in one step, in the order of the ranks."""
    return [index for stream in streams for index in next(stream).indices.tolist()]


@given(st.integers(0, 300), st.integers(0, 2**63), st.integers(0, 1000))
def test_an_epoch_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    order = permutation(n, seed, epoch)
    assert sorted(order.tolist()) == list(range(n))
    np.testing.assert_array_equal(order, permutation(n, seed, epoch))


def test_orders_differ_and_never_change() -> None:
    """The literal is what holds checkpoints of older versions to this one."""
    assert permutation(8, 0, 0).tolist() == GOLDEN
    assert permutation(100, 0, 0).tolist() != permutation(100, 0, 1).tolist()
    assert permutation(100, 0, 1).tolist() != permutation(100, 1, 0).tolist()


GOLDEN = [3, 2, 1, 6, 0, 7, 4, 5]


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_ranks_together_take_the_sequence(reader: LatentReader, world_size: int, batch_size: int) -> None:
    streams = [LatentStream(reader, batch_size, 7, rank, world_size) for rank in range(world_size)]
    steps = 3 * SAMPLES // (batch_size * world_size) + 1
    taken = [index for _ in range(steps) for index in step_of_all(streams)]
    assert taken == sequence(len(taken))
    for epoch in range(3):
        assert sorted(taken[epoch * SAMPLES : (epoch + 1) * SAMPLES]) == list(range(SAMPLES))


def test_an_epoch_is_drawn_once(reader: LatentReader, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def watched(n: int, seed: int, epoch: int) -> np.ndarray:
        drawn.append(epoch)
        return permutation(n, seed, epoch)

    monkeypatch.setattr(latent_stream, "permutation", watched)
    for _ in islice(LatentStream(reader, 5, 7), 4 * SAMPLES // 5):
        pass
    assert drawn == [0, 1, 2, 3]


def test_a_batch_may_be_the_whole_and_holds_what_its_indices_say(reader: LatentReader) -> None:
    stream = LatentStream(reader, SAMPLES, 7)
    batch = next(stream)
    assert batch.captions == [reader[index].caption for index in sequence(SAMPLES)]
    assert sorted(next(stream).keys) == sorted(batch.keys)


def test_resuming_at_any_step_gives_the_unbroken_stream(reader: LatentReader) -> None:
    unbroken = [batch.latents.tobytes() for batch in islice(LatentStream(reader, 4, 7), 20)]
    for step in range(20):
        stream = LatentStream(reader, 4, 7)
        for _ in range(step):
            next(stream)
        state = json.loads(json.dumps(stream.state()))
        resumed = LatentStream(reader, 4, 7)
        resumed.restore(state)
        assert [b.latents.tobytes() for b in islice(resumed, 20 - step)] == unbroken[step:]
        assert state == LatentStream(reader, 4, 7, position=state["position"]).state()


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=12))
def test_ranks_and_batches_may_change_at_a_resume(reader: LatentReader, runs: list[tuple[int, int]]) -> None:
    state = LatentStream(reader, 1, 7).state()
    taken: list[int] = []
    for world_size, batch_size in runs:
        streams = [LatentStream(reader, batch_size, 7, rank, world_size) for rank in range(world_size)]
        for stream in streams:
            stream.restore(state)
        taken += step_of_all(streams) + step_of_all(streams)
        (state,) = {json.dumps(stream.state()): stream.state() for stream in streams}.values()
    assert taken == sequence(len(taken))


def test_going_back_is_as_good_as_going_on(reader: LatentReader) -> None:
    stream = LatentStream(reader, 5, 7)
    start = stream.state()
    first = [next(stream).indices.tolist() for _ in range(15)]
    stream.restore(start)
    assert [next(stream).indices.tolist() for _ in range(15)] == first


def test_a_state_of_other_data_or_seed_is_refused(reader: LatentReader, tmp_path: Path) -> None:
    other = LatentReader(make_latents(tmp_path / "latents", 5, columns(SAMPLES, seed=1)))
    stream = LatentStream(reader, 4, 7)
    with pytest.raises(DataError, match="made with latents '"):
        stream.restore(LatentStream(other, 4, 7).state())
    with pytest.raises(DataError, match="made with seed 8, not 7"):
        stream.restore(LatentStream(reader, 4, 8).state())
    with pytest.raises(DataError, match="made with samples None, not 23"):
        stream.restore({"seed": 7, "position": 4, "latents": stream.state()["latents"]})
    assert stream.position == 0


def test_fewer_latents_than_a_batch_are_refused(reader: LatentReader) -> None:
    with pytest.raises(DataError, match="23 latents are fewer than a batch of 8 on each of 3 ranks"):
        LatentStream(reader, 8, 7, rank=0, world_size=3)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"rank": 2, "world_size": 2}, {"position": -1}])
def test_impossible_ranks_and_places_are_refused(reader: LatentReader, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="="):
        LatentStream(reader, **({"batch_size": 1, "seed": 7} | wrong))
