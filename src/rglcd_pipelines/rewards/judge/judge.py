"""The judge as a reward: what it thinks of pictures, each of them asked about once."""

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rglcd_pipelines.errors import DataError
from rglcd_pipelines.rewards.judge.budget import Budget, Spent
from rglcd_pipelines.rewards.judge.cache import Cache, key_of
from rglcd_pipelines.rewards.judge.client import Client, StoppedError
from rglcd_pipelines.rewards.judge.prompts import (
    MalformedAnswerError,
    Marks,
    Verdict,
    parse,
    question,
    verdict,
)
from rglcd_pipelines.rewards.judge.settings import JudgeConfig
from rglcd_pipelines.rewards.pixels import pixels

TRIES = 2
"""How often a question is put, be it about several pictures or, when that came to nothing, about each."""

Asked = Future[dict[str, Marks]]


@dataclass(frozen=True)
class Picture:
    """With its caption, as the judge sees it."""

    key: str
    caption: str
    pixels: NDArray[np.uint8]
    """[H, W, 3]."""

    def png(self) -> bytes:
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "PNG")
        return file.getvalue()


class JudgeReward:
    """The overall verdict from 0 to 10. Any number of threads may ask at a time."""

    differentiable = False

    def __init__(
        self,
        name: str,
        config: JudgeConfig,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """`wait` is how time passes between attempts."""
        self.name, self.config = name, config
        self._budget = Budget(name, config)
        self._client = Client(name, config, self._budget, wait)
        self._cache = Cache(Path(config.cache), f"rewards.{name}.judge.cache")
        self._pool = ThreadPoolExecutor(config.at_once, thread_name_prefix=f"judge-{name}")
        self._under_way: dict[str, Asked] = {}
        """Who is asking about a picture right now, by its key."""
        self._lock = threading.RLock()

    def score(self, images: Tensor, captions: Sequence[str]) -> Tensor:
        overall = [each.overall for each in self.judge(images, captions)]
        return torch.tensor(overall, dtype=torch.float32, device=images.device)

    def judge(self, images: Tensor, captions: Sequence[str]) -> list[Verdict]:
        """Of [B, 3, H, W] float images in [0, 1] and B captions; what is in the cache is not asked again."""
        if len(images) != len(captions):
            raise ValueError(f"{len(images)} images and {len(captions)} captions; give as many")
        identity = self.config.identity
        pictures = [
            Picture(key_of(identity, caption, picture), caption, picture)
            for caption, picture in zip(captions, pixels(images, self.name), strict=True)
        ]
        marks = self._marks({picture.key: picture for picture in pictures})
        return [verdict(marks[picture.key]) for picture in pictures]

    def spent(self) -> Spent:
        """So far, by all runs with this cache."""
        return self._budget.spent()

    def close(self) -> None:
        """Let go of threads and connections; whoever does not call it loses them with the reward."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _marks(self, pictures: Mapping[str, Picture]) -> dict[str, Marks]:
        known: dict[str, Marks] = {}
        stop = threading.Event()
        own: list[Asked] = []
        try:
            while lacking := {key: picture for key, picture in pictures.items() if key not in known}:
                asked = self._submit(lacking, known, own, stop)
                # Another thread's may come to nothing, as that thread gave up: then it is asked here.
                wait(asked, return_when=FIRST_EXCEPTION)
                for future in asked:
                    if future.done():
                        known |= _heard(future)
        except BaseException as error:
            stop.set()
            for future in own:
                future.cancel()
            if isinstance(error, Exception):
                wait(own)  # what is under way is paid for, and so it is kept
            raise
        return known

    def _submit(
        self,
        lacking: Mapping[str, Picture],
        known: dict[str, Marks],
        own: list[Asked],
        stop: threading.Event,
    ) -> set[Asked]:
        """Who will know about what is lacking, besides what the cache knows by now.

        Whoever asks writes into the cache before it leaves `_under_way`: with the lock held, a picture that
        is in neither is one that nobody has asked about.
        """
        with self._lock:
            known |= self._cache.read(lacking)
            unknown = [key for key in lacking if key not in known]
            asked = {self._under_way[key] for key in unknown if key in self._under_way}
            new = [lacking[key] for key in unknown if key not in self._under_way]
            for start in range(0, len(new), self.config.per_request):
                part = new[start : start + self.config.per_request]
                future = self._pool.submit(self._find_out, part, stop)
                own.append(future)
                asked.add(future)
                self._under_way |= {picture.key: future for picture in part}
                future.add_done_callback(self._forget)  # at once, if it is done by now
            return asked

    def _forget(self, future: Asked) -> None:
        with self._lock:
            for key in [key for key, each in self._under_way.items() if each is future]:
                del self._under_way[key]

    def _find_out(self, pictures: Sequence[Picture], stop: threading.Event) -> dict[str, Marks]:
        """In a thread of the pool; once it fails there, nothing else that goes with it is begun."""
        try:
            return self._ask(pictures, stop)
        except BaseException:
            stop.set()
            raise

    def _ask(self, pictures: Sequence[Picture], stop: threading.Event) -> dict[str, Marks]:
        """What comes to nothing for several pictures is asked for each of them."""
        parts, wrong = question([(picture.caption, picture.png()) for picture in pictures]), ""
        for _ in range(TRIES):
            answer = self._client.ask(parts, stop)
            try:
                marks = parse(answer, len(pictures))
            except MalformedAnswerError as error:
                wrong = f"{error}: {self._client.hidden(answer)!r}"
                continue
            found = {picture.key: each for picture, each in zip(pictures, marks, strict=True)}
            self._cache.write(self.config.model, found)
            return found
        if len(pictures) > 1:
            return {key: each for one in pictures for key, each in self._ask([one], stop).items()}
        where = f"rewards.{self.name}.judge"
        raise DataError(
            f"{where}.model: {self.config.model} does not answer as it was told to: for the caption "
            f"{pictures[0].caption!r} its answer {wrong}. Take a model that is better at it, or raise "
            f"{where}.most_tokens if the answer was cut short. What was judged so far is in "
            f"{self.config.cache}."
        )


def _heard(future: Asked) -> dict[str, Marks]:
    """What a finished question has found, which is nothing where somebody gave it up."""
    try:
        return future.result()
    except (CancelledError, StoppedError):
        return {}
