"""Figures from several trainings, one for each seed: their mean and its standard error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.papers.wgan.measure import Values

# A difference of fewer standard errors does not count.
CLEAR = 2.0


@dataclass(frozen=True)
class OverSeeds:
    """Values `[S, …]`, one row for each seed."""

    values: Values

    @property
    def mean(self) -> Values:
        """The mean over seeds, `[…]`."""
        return np.asarray(self.values.mean(0))

    @property
    def error(self) -> Values:
        """Standard error of the mean, `[…]`; 0 for a single seed, where it is unknown."""
        count = len(self.values)
        if count == 1:
            return np.zeros(self.values.shape[1:])
        return np.asarray(self.values.std(0, ddof=1) / count**0.5)

    @property
    def clearly(self) -> Values:
        """The mean less `CLEAR` standard errors, `[…]`: above zero if the mean clearly is."""
        return self.mean - CLEAR * self.error

    def text(self, place: int | tuple[int, ...] = (), digits: int = 2) -> str:
        """The mean at a place, with its standard error where there is one."""
        shown = f"{float(self.mean[place]):.{digits}f}"
        return shown if len(self.values) == 1 else f"{shown} ± {float(self.error[place]):.{digits}f}"
