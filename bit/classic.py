"""Classic observables: the formulas of features that were used before anything was learned, and still are.

Each is an `bit.observables.Observable` of the features that the simulators of `bit.processes` give; tables of any other
origin serve as well if their features have these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bit.basis import FloatArray
from bit.errors import InputError, near_match
from bit.events import EventTable


@dataclass(frozen=True)
class ClassicObservable:
    """A formula of named features.

    Parameters
    ----------
    name : str
        Identifier.
    label : str
        Text for plots, LaTeX between dollar signs.
    features : tuple of str
        Features that the formula needs, in the order of its arguments.
    formula : callable
        Of one float64 array of shape (n_events,) per feature; gives (n_events,), or a tuple of these, one per axis.
    odd : bool or tuple of bool, default=False
        Whether it changes sign under CP, for all axes or one by one.
    """

    name: str
    label: str
    features: tuple[str, ...]
    formula: Callable[..., FloatArray | tuple[FloatArray, ...]]
    odd: bool | tuple[bool, ...] = False

    def __call__(self, table: EventTable) -> FloatArray:
        """Return the values, shape (n_events,) or (n_events, n_axes)."""
        values = self.formula(*(np.asarray(table.column(name), dtype=np.float64) for name in self.features))
        return np.stack(values, axis=-1) if isinstance(values, tuple) else values


def _sines(cos_theta: FloatArray, cos_theta_l: FloatArray) -> FloatArray:
    return np.sqrt((1.0 - cos_theta**2) * (1.0 - cos_theta_l**2))


def _zh(
    name: str, label: str, formula: Callable[[FloatArray, FloatArray, FloatArray], FloatArray], odd: bool = False
) -> ClassicObservable:
    return ClassicObservable(name, label, ("cos_theta", "cos_theta_l", "phi"), formula, odd)


_ALL = (
    ClassicObservable("phi_4l", r"$\Phi_{4\ell}$", ("phi_4l",), lambda phi: phi, odd=True),
    ClassicObservable(
        "phi_4l,m12",
        r"$\Phi_{4\ell}$, $m_{12}$ [GeV]",
        ("phi_4l", "m12"),
        lambda phi, mass: (phi, mass),
        odd=(True, False),
    ),
    ClassicObservable("dphi_jj", r"$\Delta\phi_{jj}$", ("dphi_jj",), lambda dphi: dphi, odd=True),
    ClassicObservable(
        "pt_pt_sin_dphi",
        r"$p_{T,j_1} p_{T,j_2} \sin\Delta\phi_{jj}$ [GeV$^2$]",
        ("pt_j1", "pt_j2", "dphi_jj"),
        lambda one, other, dphi: one * other * np.sin(dphi),
        odd=True,
    ),
    ClassicObservable("pt_z", r"$p_{T,Z}$ [GeV]", ("pt",), lambda pt: pt),
    _zh("f_LL", r"$f_{LL}$", lambda c, cl, phi: _sines(c, cl) ** 2),
    _zh("f1_TT", r"$f_{TT}^{(1)}$", lambda c, cl, phi: c * cl),
    _zh("f2_TT", r"$f_{TT}^{(2)}$", lambda c, cl, phi: (1.0 + c**2) * (1.0 + cl**2)),
    _zh("f1_LT", r"$f_{LT}^{(1)}$", lambda c, cl, phi: np.cos(phi) * _sines(c, cl)),
    _zh("f2_LT", r"$f_{LT}^{(2)}$", lambda c, cl, phi: np.cos(phi) * _sines(c, cl) * c * cl),
    _zh("f1_LT_tilde", r"$\tilde{f}_{LT}^{(1)}$", lambda c, cl, phi: np.sin(phi) * _sines(c, cl), odd=True),
    _zh("f2_LT_tilde", r"$\tilde{f}_{LT}^{(2)}$", lambda c, cl, phi: np.sin(phi) * _sines(c, cl) * c * cl, odd=True),
    _zh("f_TTp", r"$f_{TT'}$", lambda c, cl, phi: np.cos(2.0 * phi) * _sines(c, cl) ** 2),
    _zh("f_TTp_tilde", r"$\tilde{f}_{TT'}$", lambda c, cl, phi: np.sin(2.0 * phi) * _sines(c, cl) ** 2, odd=True),
)

OBSERVABLES: Mapping[str, ClassicObservable] = MappingProxyType({found.name: found for found in _ALL})
"""All of them by name.

"phi_4l" and "phi_4l,m12" are those of h -> 4l (arXiv:2112.05052, Eq. 4), "dphi_jj" and "pt_pt_sin_dphi" those of
vector-boson fusion (arXiv:hep-ph/0609075; arXiv:2109.10414), "pt_z" and the nine angular functions "f_..." those of ZH
with Z -> l l (arXiv:2107.10859), as in `bit.processes.zh` but from the angles. "pt_z" reads the feature "pt".
"""


def classic(name: str) -> ClassicObservable:
    """Return a classic observable.

    Parameters
    ----------
    name : str
        One of `OBSERVABLES`.

    Returns
    -------
    ClassicObservable
        Callable with an event table that has its features.

    Raises
    ------
    InputError
        For an unknown name.
    """
    if name not in OBSERVABLES:
        raise InputError(f"no classic observable {name!r}: {near_match(name, OBSERVABLES)}")
    return OBSERVABLES[name]


def available(table: EventTable) -> tuple[ClassicObservable, ...]:
    """Return the classic observables that a table has the features for.

    Parameters
    ----------
    table : EventTable
        Events; looked at by the names of the features only.

    Returns
    -------
    tuple of ClassicObservable
        In the order of `OBSERVABLES`; may be empty.
    """
    return tuple(found for found in _ALL if set(found.features) <= set(table.feature_names))
