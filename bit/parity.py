"""How CP (or naive time reversal) acts on features and on the terms of the weight polynomial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import Term
from bit.errors import InputError, near_match


@dataclass(frozen=True, init=False)
class CPParity:
    """An involution of the features, exact in float32, and the coefficients that are odd under it.

    Features are flipped in sign or swapped in pairs; nothing else, so that applying it twice gives
    back every bit. An angle is described by its sine and cosine, not shifted.

    Parameters
    ----------
    flip : sequence of str
        Features that change sign, such as ``("phi",)``.
    swap : sequence of (str, str)
        Pairs of features that change places, such as ``(("pt_lm", "pt_lp"),)``.
    odd_params : sequence of str
        Coefficients of CP-odd operators; a term is odd if it has an odd number of them.

    Raises
    ------
    InputError
        If a feature is named twice.
    """

    flip: tuple[str, ...]
    swap: tuple[tuple[str, str], ...]
    odd_params: tuple[str, ...]

    def __init__(
        self,
        flip: Sequence[str] = (),
        swap: Sequence[tuple[str, str]] = (),
        odd_params: Sequence[str] = (),
    ) -> None:
        for name, value in (("flip", flip), ("odd_params", odd_params)):
            if isinstance(value, str):
                raise InputError(f"{name}={value!r}: give a sequence of names, such as ({value!r},).")
        object.__setattr__(self, "flip", tuple(flip))
        object.__setattr__(self, "swap", tuple((first, second) for first, second in swap))
        object.__setattr__(self, "odd_params", tuple(odd_params))
        named = [*self.flip, *(name for pair in self.swap for name in pair)]
        repeated = sorted({name for name in named if named.count(name) > 1})
        if repeated:
            raise InputError(f"features {repeated} stand twice in flip and swap: name each once.")

    def permutation(self, feature_names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Column from which each feature is taken under CP.

        Parameters
        ----------
        feature_names : sequence of str
            Names of the columns.

        Returns
        -------
        ndarray of int64, shape (n_features,)
            ``mirrored = features[:, permutation] * sign``.

        Raises
        ------
        InputError
            If a flipped or swapped feature is not among the names.
        """
        order = np.arange(len(feature_names))
        for first, second in self.swap:
            i, j = self._column(first, feature_names), self._column(second, feature_names)
            order[[i, j]] = order[[j, i]]
        return order

    def feature_sign(self, feature_names: Sequence[str]) -> npt.NDArray[np.float32]:
        """Sign of each feature under CP.

        Parameters
        ----------
        feature_names : sequence of str
            Names of the columns.

        Returns
        -------
        ndarray of float32, shape (n_features,)
            -1 for the features of `flip`, else +1.

        Raises
        ------
        InputError
            If a flipped feature is not among the names.
        """
        sign = np.ones(len(feature_names), dtype=np.float32)
        for name in self.flip:
            sign[self._column(name, feature_names)] = -1.0
        return sign

    def term_sign(self, terms: Sequence[Term]) -> npt.NDArray[np.float64]:
        """Sign of each term of the weight polynomial under CP.

        Parameters
        ----------
        terms : sequence of tuple of str
            Terms, as in ``PolynomialBasis.terms``.

        Returns
        -------
        ndarray of float64, shape (n_terms,)
            -1 where the number of odd coefficients in the term is odd, else +1.
        """
        odd = [sum(name in self.odd_params for name in term) % 2 for term in terms]
        return np.where(np.array(odd, dtype=bool), -1.0, 1.0)

    def mirror(self, features: npt.NDArray[np.floating], feature_names: Sequence[str]) -> npt.NDArray[np.floating]:
        """Features of the CP image of every event.

        Parameters
        ----------
        features : ndarray of float32 or float64, shape (n_events, n_features)
            Left as it is.
        feature_names : sequence of str
            Names of the columns.

        Returns
        -------
        ndarray, shape (n_events, n_features)
            A new array of the same dtype.

        Raises
        ------
        InputError
            If a feature of `flip` or `swap` is not among the names.
        """
        sign = self.feature_sign(feature_names).astype(features.dtype)
        return features[:, self.permutation(feature_names)] * sign

    @staticmethod
    def _column(name: str, feature_names: Sequence[str]) -> int:
        if name not in feature_names:
            raise InputError(f"CPParity names the unknown feature {name!r}: {near_match(name, feature_names)}")
        return list(feature_names).index(name)
