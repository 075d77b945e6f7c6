"""CLIP's loss for the latent tower, against a text tower that stays as it is (Appendix A)."""

import torch
from torch import Tensor
from torch.nn import functional as F

SAME = 0.9999
"""From this cosine on, two texts are the same one."""


class Contrast:
    """open_clip's loss over the batches of all processes, with captions that none of their latents has."""

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        from open_clip.loss import ClipLoss

        # With gradient, and each process its own rows: the mean over processes is the whole batch's.
        self.clip = ClipLoss(local_loss=True, gather_with_grad=True, rank=rank, world_size=count)

    def __call__(
        self, latents: Tensor, texts: Tensor, scale: Tensor, others: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Of unit vectors [B, D], a latent's and its text's in the same row; `others` are texts [N, D]."""
        by_latent, by_text = self.clip.get_logits(latents, texts, scale)
        own = self.clip.get_ground_truth(latents.device, len(latents))
        right = (by_latent.argmax(1) == own).float().mean()
        if others is not None:
            beyond = scale * latents @ others.T
            same = texts @ others.T > SAME
            by_latent = torch.cat([by_latent, beyond.masked_fill(same, -torch.inf)], 1)
        loss = (F.cross_entropy(by_latent, own) + F.cross_entropy(by_text, own)) / 2
        return {"loss": loss, "contrastive": loss, "right": right}
