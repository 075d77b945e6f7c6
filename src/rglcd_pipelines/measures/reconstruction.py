"""How far pictures are from what an autoencoder makes of them: it knows how to draw things, not noise."""

from collections.abc import Callable

from torch import Tensor


def distance_to_reconstruction(images: Tensor, reconstruct: Callable[[Tensor], Tensor]) -> Tensor:
    """[B]: the root mean square of what changes on the way through the autoencoder, of values in [0, 1].

    Both are compared as floats: rounding either to 8 bits adds some 0.001, and a good autoencoder's own
    distance is ten times that. What it says beyond black and white is cut off, as a screen does.
    """
    again = reconstruct(images).to(images).clamp(0, 1)
    if again.shape != images.shape:
        raise ValueError(f"images {list(images.shape)} came back as {list(again.shape)}")
    return (again - images).square().mean((1, 2, 3)).sqrt()
