"""CLIP's loss for the latent tower, against a text tower that stays as it is (Appendix A)."""

import torch
from torch import Tensor
from torch.nn import functional as F

NEVER = -1e9
"""The logit of what is no other text; with minus infinity, a row of nothing else would have no gradient."""
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
        whole = by_latent.logsumexp(1)
        if others is not None:
            beyond = scale * latents @ others.T
            same = texts @ others.T > SAME
            whole = torch.logaddexp(whole, beyond.masked_fill(same, NEVER).logsumexp(1))
        latent_loss = (whole - by_latent.gather(1, own[:, None]).squeeze(1)).mean()
        loss = (latent_loss + F.cross_entropy(by_text, own)) / 2
        return {"loss": loss, "contrastive": loss, "right": right}
