"""The picture of a confusion matrix shows what is in it, at every size."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rglcd_pipelines.latent_reward import confusion as module
from rglcd_pipelines.latent_reward.confusion import Confused, draw_confusion, most_confused, shares


def made_up(classes: int, per_class: int = 20) -> NDArray[np.int64]:
    """Most are right; the others are taken for a neighbour, or for anything."""
    random = np.random.default_rng(0)
    rows = []
    for label in range(classes):
        odds = np.full(classes, 0.1 / classes)
        odds[label] += 0.7
        odds[(label + 1) % classes] += 0.2
        rows.append(random.multinomial(per_class, odds))
    return np.array(rows, np.int64)


def colours(image: Image.Image) -> NDArray[np.int64]:
    return np.asarray(image, np.int64)


def test_the_worst_pairs_come_first() -> None:
    matrix = np.array([[5, 3, 0], [3, 0, 1], [0, 3, 3]])
    assert most_confused(matrix, 3) == [
        Confused(1, 0, 3, 0.75),
        Confused(2, 1, 3, 0.5),
        Confused(0, 1, 3, 0.375),
    ]
    assert len(most_confused(matrix, 99)) == 4
    assert matrix.tolist() == [[5, 3, 0], [3, 0, 1], [0, 3, 3]]
    assert most_confused(np.eye(3, dtype=np.int64), 5) == []


def test_a_class_without_images_has_no_shares() -> None:
    assert shares(np.array([[1, 3], [0, 0]])).tolist() == [[0.25, 0.75], [0.0, 0.0]]


@pytest.mark.parametrize("classes", [1, 2, 5, 48, 60, 61, 100, 1000])
def test_it_can_be_drawn_at_every_size(classes: int) -> None:
    names = [f"a rather long name of a class, number {label}" for label in range(classes)]
    image = draw_confusion(made_up(classes), names, 0.7, 0.9)
    assert image.mode == "RGB"
    assert 600 < image.width < 1800
    assert 200 < image.height < 1500
    edge = np.concatenate([colours(image)[:, -10:].reshape(-1, 3), colours(image)[-10:].reshape(-1, 3)])
    assert (edge == 255).all()  # nothing runs over the margin


def test_equal_matrices_give_equal_pictures() -> None:
    first, second = (draw_confusion(made_up(5), list("abcde"), 0.7, 1.0) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_each_cell_has_its_colour() -> None:
    """Green on the diagonal, red beside it, darker where there is more of it."""
    matrix = np.array([[16, 4, 0], [0, 20, 0], [0, 19, 1]])
    drawing = module._Drawing(matrix, ["cat", "dog", "bird"])
    pixels = colours(drawing.draw(0.6, 1.0))

    def cell(true: int, guessed: int) -> list[int]:
        half = drawing.cell // 2
        return pixels[
            drawing.top + true * drawing.cell + half, drawing.left + guessed * drawing.cell + half
        ].tolist()

    assert cell(0, 2) == cell(1, 0) == [255, 255, 255]
    assert cell(1, 1) == list(module.RIGHT[-1])
    for true, guessed in ((0, 0), (1, 1), (2, 2)):
        red, green, _ = cell(true, guessed)
        assert green > red
    for true, guessed in ((0, 1), (2, 1)):
        red, green, _ = cell(true, guessed)
        assert red > green
    assert sum(cell(2, 1)) < sum(cell(0, 1))


def test_one_confusion_of_a_thousand_classes_is_seen() -> None:
    matrix = 50 * np.eye(1000, dtype=np.int64)
    matrix[700, 700], matrix[700, 20] = 25, 25
    drawing = module._Drawing(matrix, [str(label) for label in range(1000)])
    pixels = colours(drawing.draw(0.99, 1.0))
    around = pixels[drawing.top + 699 : drawing.top + 702, drawing.left + 19 : drawing.left + 22]
    assert (around[..., 0] > around[..., 1]).all()
    assert (pixels[drawing.top + 600, drawing.left + 20] == 255).all()
