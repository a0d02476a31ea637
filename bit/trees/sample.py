"""Events to be trained on: what boosting asks of them before they are binned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from bit.basis import FloatArray, PolynomialBasis
from bit.events import EventTable
from bit.kernels.splitting import all_positive
from bit.threads import Threads
from bit.trees.binner import Binner, bin_measure
from bit.trees.exact import exact_sum
from bit.trees.mirror import Mirror
from bit.trees.shards import Shards
from bit.trees.walk import IntArray


class Sample(ABC):
    """Events with weights, wherever they lie: a table in this process, or parts of it in others.

    All sums are exact (`bit.trees.exact`), so that the same events give the same forest in any division.
    """

    @property
    @abstractmethod
    def table(self) -> EventTable:
        """The events in this process; an `InputError` if they are not."""

    @property
    @abstractmethod
    def n_events(self) -> int:
        """Number of events."""

    @property
    @abstractmethod
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""

    @property
    @abstractmethod
    def units(self) -> tuple[str, ...] | None:
        """Units of the features, if they are known."""

    @property
    @abstractmethod
    def basis(self) -> PolynomialBasis:
        """Polynomial of the weights."""

    @abstractmethod
    def sums(self, columns: IntArray) -> FloatArray:
        """Sum columns of the weights.

        Parameters
        ----------
        columns : ndarray of int64, shape (n_columns,)
            Which.

        Returns
        -------
        ndarray of float64, shape (n_columns,)
            One sum for each.
        """

    @abstractmethod
    def size(self) -> float:
        """Sum the absolute values of the nominal weights.

        Returns
        -------
        float
            The sum.
        """

    @abstractmethod
    def is_positive(self, form: IntArray) -> bool:
        """Tell whether no event has a polynomial that is negative anywhere.

        Parameters
        ----------
        form : ndarray of int64, shape (n_params + 1, n_params + 1)
            Column less 1 of each entry of the quadratic form, -1 for the constant.

        Returns
        -------
        bool
            Whether all forms are positive semi-definite.
        """

    @abstractmethod
    def binner(
        self, columns: IntArray, max_bins: int, bin_weights: str, threads: Threads, mirror: Mirror | None
    ) -> Binner:
        """Choose thresholds.

        Parameters
        ----------
        columns : ndarray of int64, shape (n_columns,)
            Columns of the weights to be learned.
        max_bins : int
            Largest number of bins.
        bin_weights : str
            What they hold equal shares of, see `bin_measure`.
        threads : Threads
            Who does the work in this process.
        mirror : Mirror or None
            How CP acts.

        Returns
        -------
        Binner
            Thresholds of every feature.
        """

    @abstractmethod
    def shards(
        self,
        binner: Binner,
        columns: IntArray,
        threads: Threads,
        mirror: Mirror | None,
        n_directions: int,
        *,
        with_features: bool,
    ) -> Shards:
        """Bin the events.

        Parameters
        ----------
        binner, columns, threads, mirror, n_directions
            As for `Shards`.
        with_features : bool
            Whether the values of the features are needed, too.

        Returns
        -------
        Shards
            Events with codes.
        """


@dataclass(frozen=True, eq=False)
class TableSample(Sample):
    """A table in this process; for the methods see `Sample`.

    Attributes
    ----------
    events : EventTable
        The table.
    """

    events: EventTable

    @property
    def table(self) -> EventTable:
        """The table."""
        return self.events

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.events.n_events

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features."""
        return self.events.feature_names

    @property
    def units(self) -> tuple[str, ...] | None:
        """Units of the features."""
        return self.events.units

    @property
    def basis(self) -> PolynomialBasis:
        """Polynomial of the weights."""
        return self.events.basis

    def sums(self, columns: IntArray) -> FloatArray:
        """Sum columns of the weights."""
        return np.array([exact_sum(self.events.weights[:, k]) for k in columns])

    def size(self) -> float:
        """Sum the sizes of the nominal weights."""
        return exact_sum(np.abs(self.events.weights[:, 0]))

    def is_positive(self, form: IntArray) -> bool:
        """Tell whether all polynomials are positive."""
        return bool(all_positive(np.ascontiguousarray(self.events.weights), form))

    def binner(
        self, columns: IntArray, max_bins: int, bin_weights: str, threads: Threads, mirror: Mirror | None
    ) -> Binner:
        """Choose thresholds."""
        event_weights = bin_measure(self.events.weights, columns, bin_weights, threads)
        return Binner.fit(self.events.features, max_bins, event_weights, threads, mirror)

    def shards(
        self,
        binner: Binner,
        columns: IntArray,
        threads: Threads,
        mirror: Mirror | None,
        n_directions: int,
        *,
        with_features: bool,
    ) -> Shards:
        """Bin the events."""
        features = self.events.features
        shards = Shards(binner, features, self.events.weights, columns, threads, mirror, n_directions)
        if with_features:
            shards.keep_features(features)
        return shards
