"""Cuts on features, written as text: ``"pt>200, abs(y)<2.5"``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray
from bit.errors import InputError, near_match

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NAME = r"[A-Za-z_]\w*"
_SIDE = rf"(?:abs\(\s*(?P<absolute>{_NAME})\s*\)|(?P<name>{_NAME}))"
_CUT = re.compile(rf"{_SIDE}\s*(?P<sign>[<>]=?)\s*(?P<number>{_NUMBER})")
_COMPARE = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}


@dataclass(frozen=True)
class Cut:
    """One comparison of a feature, or of its absolute value, with a number.

    Attributes
    ----------
    feature : str
        Its name.
    absolute : bool
        Whether its absolute value is compared.
    sign : str
        Of the comparison.
    number : float
        In the unit of the feature.
    """

    feature: str
    absolute: bool
    sign: str
    number: float


@dataclass(frozen=True)
class Cuts:
    """Comparisons that all have to hold.

    Parameters
    ----------
    cuts : tuple of Cut
        May be empty: then every event passes.
    """

    cuts: tuple[Cut, ...] = ()

    def passes(self, features: Mapping[str, FloatArray]) -> npt.NDArray[np.bool_]:
        """Which events pass all cuts.

        Parameters
        ----------
        features : mapping of str to ndarray, shape (n_events,)
            At least the features that are cut on.

        Returns
        -------
        ndarray of bool, shape (n_events,)
            True for events that pass; NaN never passes a cut.
        """
        result = np.ones(len(next(iter(features.values()))), dtype=bool)
        for cut in self.cuts:
            values = np.abs(features[cut.feature]) if cut.absolute else features[cut.feature]
            result &= _COMPARE[cut.sign](values, cut.number)
        return result

    def window(self, feature: str, low: float, high: float) -> tuple[float, float]:
        """Range of one feature that the cuts on it leave of [low, high].

        Parameters
        ----------
        feature : str
            Name of a feature that is never negative.
        low, high : float
            Range without cuts, in the unit of the feature.

        Returns
        -------
        tuple of float
            The smaller range; empty, with low > high, where the cuts exclude each other.
        """
        for cut in self.cuts:
            if cut.feature == feature and cut.sign in (">", ">="):
                low = max(low, cut.number)
            elif cut.feature == feature:
                high = min(high, cut.number)
        return low, high


def parse_cuts(text: str | None, names: Sequence[str]) -> Cuts:
    """Read cuts from text.

    Parameters
    ----------
    text : str or None
        Comparisons ``feature > number`` (or >=, <, <=; ``abs(feature)`` too) separated by commas.
    names : sequence of str
        Features that exist.

    Returns
    -------
    Cuts
        The comparisons; none for None or an empty text.

    Raises
    ------
    InputError
        If a part is not such a comparison or names an unknown feature.
    """
    parts = [part.strip() for part in (text or "").split(",")]
    return Cuts(tuple(_parse_one(part, names) for part in parts if part))


def _parse_one(part: str, names: Sequence[str]) -> Cut:
    found = _CUT.fullmatch(part)
    if found is None:
        raise InputError(
            f"cut {part!r} is not understood: write feature, comparison, number, such as 'pt>200' or 'abs(y)<2.5', "
            "with commas between cuts."
        )
    feature = found["absolute"] or found["name"]
    if feature not in names:
        raise InputError(f"cut {part!r} names the unknown feature {feature!r}: {near_match(feature, names)}")
    return Cut(feature, found["absolute"] is not None, found["sign"], float(found["number"]))
