"""When the latent reward model has learnt enough: the average reward of the batches settles (Appendix A)."""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from rglcd_pipelines.training.lrm_settings import SettlesConfig
from rglcd_pipelines.training.ranks import Ranks

logger = logging.getLogger(__name__)


class Settle:
    """Compares the mean reward of a window of steps with that of the window before."""

    def __init__(self, config: SettlesConfig | None, device: torch.device) -> None:
        self.config = config
        self.sum = torch.zeros((), device=device)
        self.before = torch.full((), torch.nan, device=device)
        self.settled = torch.zeros((), device=device)
        """1.0 once it has."""

    def see(self, step: int, reward: Tensor, ranks: Ranks) -> Tensor:
        """Whether it has settled after this step or before, as 1.0 or 0.0; all processes see the same."""
        if self.config is None:
            return self.settled
        told = reward.detach().float().clone()
        ranks.average([told])
        self.sum += told
        if (step + 1) % self.config.window == 0:
            mean = self.sum / self.config.window
            if not self.settled and bool((mean - self.before).abs() < self.config.tolerance):
                self.settled.fill_(1.0)
                logger.info(
                    "the latent reward model stays as it is from step %d: its expert's rewards have settled "
                    "at %.4g", step + 1, mean.item())  # fmt: skip
            self.before.copy_(mean)
            self.sum.zero_()
        return self.settled

    def tensors(self) -> dict[str, Tensor]:
        return {"sum": self.sum, "before": self.before, "settled": self.settled}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])
