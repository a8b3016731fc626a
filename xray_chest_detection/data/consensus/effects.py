"""Chances and rates per reader and class that borrow strength from each other.

A reader with three boxes of a class has no sensitivity of his own worth the name. So the logit of a chance, or the
logarithm of a rate, is a sum

    mean + overall + class + reader + cell

whose terms are drawn towards 0 by normal priors: a cell without data takes what its class and its reader suggest.

Source: a generalised linear mixed model with crossed random effects; Gelman and Hill 2007, chapters 12 to 15.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from xray_chest_detection.data.readings import FloatArray

_HALVINGS = 20


@dataclass(frozen=True, eq=False)
class Effects:
    """A table of chances or rates, readers by classes, as a sum of effects.

    Attributes:
        link: `logit` for chances, `log` for rates.
        mean: `(C,)` what is expected of each class, on the scale of the link.
        sd: Standard deviations of the priors: overall, class, reader, cell.
        overall: `(1,)`.
        of_class: `(C,)`.
        of_reader: `(R,)`.
        of_cell: `(R, C)`.
    """

    link: Literal["logit", "log"]
    mean: FloatArray
    sd: tuple[float, float, float, float]
    overall: FloatArray
    of_class: FloatArray
    of_reader: FloatArray
    of_cell: FloatArray

    @property
    def value(self) -> FloatArray:
        """The chances or rates, `(R, C)`."""
        total = self._sum()
        return np.asarray(1 / (1 + np.exp(-total)) if self.link == "logit" else np.exp(total), np.float64)

    def log_prior(self) -> float:
        """Logarithm of the prior density of the effects, up to a constant."""
        parts = zip((self.overall, self.of_class, self.of_reader, self.of_cell), self.sd, strict=True)
        return -0.5 * sum(float((part**2).sum()) / sd**2 for part, sd in parts)

    def improved(self, events: FloatArray, trials: FloatArray) -> "Effects":
        """The effects after a step of Newton's method towards the posterior mode, halved until it leads upwards.

        Args:
            events: `(R, C)` how often it happened.
            trials: `(R, C)` how often it could have, or the exposure of a rate.
        """
        before = self._objective(events, trials)
        step = self._newton_step(events, trials)
        for _ in range(_HALVINGS):
            moved = self._moved(step)
            if moved._objective(events, trials) >= before:
                return moved
            step = tuple(part / 2 for part in step)
        return self

    def _sum(self) -> FloatArray:
        return self.mean + self.overall + self.of_class + self.of_reader[:, None] + self.of_cell

    def _objective(self, events: FloatArray, trials: FloatArray) -> float:
        total = self._sum()
        expected = np.logaddexp(0, total) if self.link == "logit" else np.exp(total)
        return float((events * total - trials * expected).sum()) + self.log_prior()

    def _newton_step(self, events: FloatArray, trials: FloatArray) -> tuple[FloatArray, ...]:
        """Changes of overall, class, reader and cell effects; the cells are eliminated before solving for the rest."""
        value = self.value
        precision = [1 / sd**2 for sd in self.sd]
        weight = trials * value * (1 - value) if self.link == "logit" else trials * value
        slope = events - trials * value
        by_cell = (slope - precision[3] * self.of_cell) / (weight + precision[3])
        left, rest = weight * precision[3] / (weight + precision[3]), slope - weight * by_cell
        of_class, of_reader = left.sum(axis=0), left.sum(axis=1)
        matrix = np.block(
            [
                [left.sum(keepdims=True).reshape(1, 1), of_class[None, :], of_reader[None, :]],
                [of_class[:, None], np.diag(of_class), left.T],
                [of_reader[:, None], left, np.diag(of_reader)],
            ]
        )
        sizes = (1, len(of_class), len(of_reader))
        prior = np.repeat(precision[:3], sizes)
        current = np.concatenate([self.overall, self.of_class, self.of_reader])
        gradient = np.concatenate([[rest.sum()], rest.sum(axis=0), rest.sum(axis=1)]) - prior * current
        solved = np.linalg.solve(matrix + np.diag(prior), gradient)
        overall, classes, readers = np.split(solved, np.cumsum(sizes)[:2])
        change = overall + classes + readers[:, None]
        return overall, classes, readers, by_cell - weight / (weight + precision[3]) * change

    def _moved(self, step: tuple[FloatArray, ...]) -> "Effects":
        overall, of_class, of_reader, of_cell = step
        return replace(
            self,
            overall=self.overall + overall,
            of_class=self.of_class + of_class,
            of_reader=self.of_reader + of_reader,
            of_cell=self.of_cell + of_cell,
        )


def no_effects(
    link: Literal["logit", "log"], mean: FloatArray, n_readers: int, *, sd: tuple[float, float, float, float]
) -> Effects:
    """Effects of 0 of so many readers, on the classes of `mean` `(C,)`, which is on the scale of the link."""
    cells = np.zeros((n_readers, len(mean)))
    return Effects(link, mean, sd, np.zeros(1), np.zeros(len(mean)), np.zeros(n_readers), cells)
