"""Whether the original network is as good as it should be: labels, preprocessing and weights may not fit."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor

#: Of the way from guessing to all right: below it a network is hardly better than guessing ...
_HARDLY = 0.1
#: ... what another order of the classes must add before it is the likely cause, and reach ...
_ADDED, _REACHED = 0.25, 0.5
#: ... and the images a class that tell how classes are mixed up.
_IMAGES_A_CLASS = 4


class Answers:
    """What a network answers on labelled images, and what is hard to believe of it.

    Args:
        classes: how many it tells apart.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._seen: list[tuple[np.ndarray, np.ndarray]] = []

    def see(self, logits: Tensor, labels: Tensor) -> None:
        """Note a batch: (images, classes), and (images,) of int64."""
        self._seen.append((labels.cpu().numpy(), logits.flatten(1).argmax(1).cpu().numpy()))

    def doubt(self, what: str) -> str | None:
        """One line where the network is hardly better than guessing, or right with its classes reordered.

        Args:
            what: the images, for people.
        """
        labels, answers = (np.concatenate(parts) for parts in zip(*self._seen, strict=True))
        right = float((labels == answers).mean())
        rows, row = np.unique(labels, return_inverse=True)
        columns, column = np.unique(answers, return_inverse=True)
        if len(rows) > 1 and len(labels) >= _IMAGES_A_CLASS * len(rows):
            counts = np.zeros((len(rows), len(columns)), np.int64)
            np.add.at(counts, (row, column), 1)
            best = counts[linear_sum_assignment(counts, maximize=True)].sum() / len(labels)
            if best >= max(right + _ADDED, _REACHED):
                return (
                    f"the original network is right on {100 * right:.2f} % of {what}, but would be on "
                    f"{100 * best:.2f} % with its classes in another order: labels are numbered otherwise "
                    "than for its training, and no accuracy below means anything; --classes FILE gives the "
                    "order"
                )
        largest = np.bincount(row).max() / len(labels)
        return hardly_right(right, largest if len(rows) > 1 else 1 / self._classes, what)


def hardly_right(right: float, guessed: float, what: str) -> str | None:
    """One line where the share of right answers, 0..1, is hardly more than that of the best guess."""
    if guessed >= 1 or (right - guessed) / (1 - guessed) >= _HARDLY:
        return None
    return (
        f"the original network is right on {100 * right:.2f} % of {what}, and guessing on "
        f"{100 * guessed:.2f} %: its labels (--classes), how images are prepared (size, mean, deviation) or "
        "its weights are hardly those of its training, and no accuracy below means anything"
    )
