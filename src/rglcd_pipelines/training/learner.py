"""A student's step: the loss of Algorithm 3 or 4, the optimizer, and the network that follows."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from torch import Tensor

from rglcd_pipelines.training.lanes import Lanes
from rglcd_pipelines.training.matcher import Matcher
from rglcd_pipelines.training.ranks import Ranks
from rglcd_pipelines.training.settings import DistillConfig
from rglcd_pipelines.training.step import ONLINE, TARGET, Loss, Work
from rglcd_pipelines.training.update import Advice, Update, Watch

ADVICE = Advice(
    "distill",
    {
        "lcd": "the consistency loss (term lcd)",
        "reward": "the reward (term reward)",
        "pull": "the reward's gradient (term pull)",
        "gradient": "the gradient's norm (term gradient)",
        "matching": "the latent reward model's loss (term matching)",
        "matching_gradient": "the norm of its gradient (term matching_gradient)",
    },
    "Lower distill.optimizer.lr or beta, or set distill.precision to fp32.",
)


class StudentLearner:
    """Student, target, and where there is one, the latent reward model that learns beside them."""

    def __init__(
        self, loss: Loss, settings: DistillConfig, ranks: Ranks, matcher: Matcher | None = None
    ) -> None:
        self.loss, self.student, self.settings, self.ranks = loss, loss.student, settings, ranks
        self.matcher = matcher
        terms = [*loss.terms, "gradient"]
        self.columns: Sequence[str] = [*terms, "loss", *(matcher.columns if matcher else [])]
        self.watch = Watch([*terms, *(matcher.terms if matcher else [])], ranks.device, ADVICE)
        self.update = Update(self.student.trained, settings.optimizer, settings.steps)
        self.lanes = Lanes(
            loss,
            Work.split,
            self.student.trained,
            ranks.device,
            settings.precision == "bf16",
            in_turn=settings.accumulate,
            together=not (self.student.one_at_a_time or settings.compile),
        )

    def working(self) -> AbstractContextManager[object]:
        return self.lanes

    def step(self, step: int, work: Work) -> dict[str, Tensor]:
        figures = self.lanes.backward(work)
        said = [figures.pop(name) for name in (ONLINE, TARGET) if name in figures]
        self.ranks.average([weight.grad for weight in self.student.trained if weight.grad is not None])
        self.ranks.average(list(figures.values()))
        figures["gradient"] = self.update.clip()
        bad = self.watch.see(step, figures)
        self.update.step(step, bad)
        self.student.follow(self.settings.mu)
        guide = self.loss.guide
        figures["loss"] = figures["lcd"] - guide.beta * figures["reward"] if guide else figures["lcd"]
        if self.matcher:
            figures |= self.matcher.step(step, work.batch, said[0], said[1], self.watch)
        return figures

    def lr(self, step: int) -> float:
        return self.update.lr(step)

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        beside = self.matcher.tensors() if self.matcher else {}
        return self.student.tensors() | {"optimizer": self.update.tensors()} | beside

    def load(self, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        self.student.load(tensors)
        self.update.load(tensors["optimizer"])
        if self.matcher:
            self.matcher.load(tensors)
