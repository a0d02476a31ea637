"""How CP acts on the engine's arrays: codes, residuals and trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, Term
from bit.kernels.dtypes import CODE, N_CODES, NAN_CODE
from bit.parity import CPParity
from bit.trees.linear import LinearWalk
from bit.trees.walk import IntArray, Walk


@dataclass(frozen=True, eq=False)
class Mirror:
    """CP in terms of columns.

    Attributes
    ----------
    source : ndarray of int64, shape (n_features,)
        Column from which each feature of the image comes.
    flipped : ndarray of bool, shape (n_features,)
        Features that change sign.
    signs : ndarray of float64, shape (n_outputs,)
        Sign of each output: -1 for odd ones.
    """

    source: IntArray
    flipped: npt.NDArray[np.bool_]
    signs: FloatArray

    @classmethod
    def of(cls, parity: CPParity, feature_names: Sequence[str], terms: Sequence[Term]) -> Mirror:
        """Translate names into columns.

        Parameters
        ----------
        parity : CPParity
            How CP acts.
        feature_names : sequence of str
            Columns of the features.
        terms : sequence of tuple of str
            Terms of the outputs.

        Returns
        -------
        Mirror
            The same in numbers.

        Raises
        ------
        InputError
            If a feature of the parity is unknown.
        """
        return cls(
            source=parity.permutation(feature_names),
            flipped=parity.feature_sign(feature_names) < 0,
            signs=parity.term_sign(terms),
        )

    def of_outputs(self, outputs: Sequence[int] | IntArray) -> Mirror:
        """Return the mirror for some of the outputs.

        Parameters
        ----------
        outputs : sequence of int
            Their numbers.

        Returns
        -------
        Mirror
            With the signs of these.
        """
        return Mirror(self.source, self.flipped, self.signs[np.asarray(outputs)])

    def walk_of_images(self, walk: Walk, n_edges: IntArray) -> Walk:
        """Return a tree in terms of the codes of the events whose images pass through it.

        Parameters
        ----------
        walk : Walk
            The tree.
        n_edges : ndarray of int64, shape (n_features,)
            Number of thresholds of each feature.

        Returns
        -------
        Walk
            The same tree, for events.
        """
        # The image has the code n_edges - code: it is above a bin if the event is below n_edges - bin, or NaN.
        turned = self.flipped[walk.feature] & (walk.above < NAN_CODE)
        return Walk(
            feature=self.source[walk.feature].astype(np.uint32),
            above=np.where(turned, NAN_CODE - 1, walk.above).astype(CODE),
            below=np.where(turned, n_edges[walk.feature] - walk.above, 0).astype(CODE),
            children=walk.children,
            depth=walk.depth,
        )

    def leaves_of_images(self, linear: LinearWalk) -> tuple[IntArray, FloatArray]:
        """Columns and signs of the features of linear leaves in terms of the event whose image is in the leaf.

        Parameters
        ----------
        linear : LinearWalk
            Linear parts of leaves.

        Returns
        -------
        columns : ndarray of int64, shape (n_nodes, 4)
            Columns, -1 for none.
        signs : ndarray of float64, shape (n_nodes, 4)
            Factors.
        """
        used = linear.columns >= 0
        columns = np.where(used, self.source[linear.columns], -1)
        return columns, np.where(used & self.flipped[linear.columns], -1.0, 1.0)

    def relabel(self, n_edges: IntArray) -> npt.NDArray[np.uint8]:
        """Codes of the images, for thresholds that are symmetric.

        Parameters
        ----------
        n_edges : ndarray of int64, shape (n_features,)
            Number of thresholds of each feature.

        Returns
        -------
        ndarray of uint8, shape (n_features * 256,)
            Code of feature f of the image, at ``256 f + code of feature source[f]``.
        """
        table = np.tile(np.arange(N_CODES), (len(n_edges), 1))
        for f in np.flatnonzero(self.flipped):
            table[f, : n_edges[f] + 1] = n_edges[f] - np.arange(n_edges[f] + 1)
        table[:, NAN_CODE] = NAN_CODE
        return table.astype(CODE).ravel()
