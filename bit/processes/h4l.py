"""h -> 2e2mu, 4e and 4mu at leading order, with exact weights in cHW, cHB, cHWB and their CP-odd partners.

Operators: O_HW = H^dagger H W^I_mn W^Imn, O_HB, O_HWB = H^dagger sigma^I H W^I_mn B^mn, and the same with one dual
field strength (arXiv:2112.05052, Eq. 2); of the CP-even ones only the tensor structure is kept. They act by exchange
of ZZ, Z gamma and gamma gamma, the Standard Model by ZZ alone: its loops are left out, as are the effects of the
coefficients on the production and on the total width of the Higgs boson. Leptons are massless.

For leptons l1- l1+ and l2- l2+ of chiralities h1, h2, with <ab> the spinor product, (a, b) = (l1-, l1+) for h1 = +1
and (l1+, l1-) for h1 = -1, and (c, d) the same of the second pair,

    M_0 = (2 mZ^2/v) g_h1 g_h2 P(q1) P(q2) 2 <ac>* <bd>,   P(q) = 1/(q^2 - mZ^2 + i mZ GammaZ),
    M_even = K (X + Y),   M_odd = -i K (X - Y),   X = <ab><cd> <ac>*^2,   Y = <ab>*<cd>* <bd>^2,
    K = -4v [C_ZZ Z1 Z2 + C_AZ (A1 Z2 + Z1 A2)/2 + C_AA A1 A2],   Z = g_h P(q),   A = -e/q^2.

For four leptons of one flavour the antileptons change places: the two amplitudes are subtracted where both currents
have the same chirality, their squares added where not, and |M|^2 is divided by 4. Photons have poles at q^2 = 0,
which a lower limit on the masses of all pairs of opposite charge and same flavour keeps out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError, near_match
from bit.parity import CPParity
from bit.particles import LHEEvents
from bit.processes.currents import ComplexArray, dot, spinor, spinor_product
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import Detector, as_detector, pt_and_eta, standard_normals
from bit.processes.hvv import (
    Electroweak,
    NeutralLine,
    Structures,
    decay_structures,
    neutral_tensor_amplitude,
    propagator,
    sm_amplitude,
    tensor_couplings,
    weights_from_amplitudes,
)
from bit.processes.pdf import load
from bit.processes.record import Particles
from bit.processes.simulation import (
    SQRT_S_GEV,
    Events,
    Feature,
    Simulation,
    generate,
    reference_point,
    require_common,
    require_scale,
)

Channel: TypeAlias = Literal["2e2mu", "4e", "4mu"]

PARAM_NAMES = ("cHW", "cHB", "cHWB", "cHWtil", "cHBtil", "cHWBtil")

FEATURES = (
    Feature("phi_4l", "", r"\Phi_{4\ell}"),
    Feature("m12", "GeV", r"m_{12}"),
    Feature("m34", "GeV", r"m_{34}"),
    Feature("cos_theta1", "", r"\cos\theta_1"),
    Feature("cos_theta2", "", r"\cos\theta_2"),
    Feature("cos_theta_star", "", r"\cos\theta^*"),
    Feature("sin_phi", "", r"\sin\Phi_{4\ell}"),
    Feature("cos_phi", "", r"\cos\Phi_{4\ell}"),
    Feature("pt_l1m", "GeV", r"p_{T,\ell_1^-}"),
    Feature("pt_l1p", "GeV", r"p_{T,\ell_1^+}"),
    Feature("pt_l2m", "GeV", r"p_{T,\ell_2^-}"),
    Feature("pt_l2p", "GeV", r"p_{T,\ell_2^+}"),
    Feature("eta_l1m", "", r"\eta_{\ell_1^-}"),
    Feature("eta_l1p", "", r"\eta_{\ell_1^+}"),
    Feature("eta_l2m", "", r"\eta_{\ell_2^-}"),
    Feature("eta_l2p", "", r"\eta_{\ell_2^+}"),
)
"""Pair 1 is the pair of opposite charge and same flavour with the mass closest to mZ, pair 2 the other one."""
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

CP_PARITY = CPParity(
    flip=("phi_4l", "cos_theta1", "cos_theta2", "sin_phi"),
    swap=(("pt_l1m", "pt_l1p"), ("pt_l2m", "pt_l2p"), ("eta_l1m", "eta_l1p"), ("eta_l2m", "eta_l2p")),
    odd_params=("cHWtil", "cHBtil", "cHWBtil"),
)
"""CP exchanges l- and l+ in each pair and reverses all momenta. Half a turn about an axis across the beam follows, so
that the beam keeps its direction: together, the momenta are reflected, y -> -y."""

SELECTIONS = {"higgs": "m12>50, m12<106, m34>12"}
"""Cuts by name: the usual selection of Higgs bosons."""

SIGMA_H_FB = 48.58e3
"""Cross-section of gluon fusion at 13 TeV (arXiv:1602.00695, for mH = 125 GeV)."""
GAMMA_H_GEV = 4.1e-3
"""Total width of the Higgs boson (arXiv:1610.07922)."""

_ELECTRON, _MUON, _TAU, _HIGGS = 11, 13, 15, 25
_CHARGES = np.array([1, -1, 1, -1])
"""Signs of the PDG identities of l-, l+, l- and l+."""
_UNITS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True, eq=False)
class H4L:
    """The decay at fixed settings, a function of the four momenta.

    Parameters
    ----------
    channel : {"2e2mu", "4e", "4mu"}
        Flavours of the leptons. Amplitudes of 4e and 4mu are the same.
    electroweak : Electroweak
        Masses and couplings.
    """

    channel: Channel = "2e2mu"
    electroweak: Electroweak = field(default_factory=Electroweak)

    @property
    def pairings(self) -> tuple[tuple[int, int, int, int], ...]:
        """Leptons l-, l+, l-, l+ of the two bosons, for each way to pair them."""
        return ((0, 1, 2, 3),) if self.channel == "2e2mu" else ((0, 1, 2, 3), (0, 3, 2, 1))

    def squared_amplitudes(self, leptons: FloatArray) -> FloatArray:
        """Weight polynomial of |M|^2, summed over helicities.

        Parameters
        ----------
        leptons : ndarray of float64, shape (4, n, 4)
            Momenta (E, px, py, pz) of l1-, l1+, l2- and l2+ in GeV, in any frame.

        Returns
        -------
        ndarray of float64, shape (n, n_terms)
            Without unit; for 4e and 4mu with the factor 1/4 for two pairs of identical particles.
        """
        return weights_from_amplitudes(self.amplitudes(leptons)[0])

    def amplitudes(self, leptons: FloatArray) -> tuple[ComplexArray, FloatArray]:
        """M_0 and its derivatives for all helicities, and how much of |M_0|^2 is due to the pairs as they are named.

        Parameters
        ----------
        leptons : ndarray of float64, shape (4, n, 4)
            As for `squared_amplitudes`.

        Returns
        -------
        amplitudes : ndarray of complex128, shape (n_helicities, 7, n)
            Of 4 helicities for 2e2mu, of 6 for 4e and 4mu.
        share : ndarray of float64, shape (n,)
            A/(A + A') with the helicity sums A of |M_0|^2 for the pairs as named and A' for the antileptons
            exchanged; 1 for 2e2mu.
        """
        spinors = spinor(leptons, 1)
        pairings = [self._of_pairing(spinors, order) for order in self.pairings]
        if len(pairings) == 1:
            return pairings[0], np.ones(leptons.shape[1])
        direct, exchanged = pairings
        same, mixed = slice(0, 4, 3), slice(1, 3)
        amplitudes = np.concatenate([direct[same] - exchanged[same], direct[mixed], exchanged[mixed]])
        # 1/4 for the square: two pairs of identical particles.
        amplitudes *= 0.5
        square, other = _square(direct[:, 0]), _square(exchanged[:, 0])
        return amplitudes, square / (square + other)

    def _of_pairing(self, spinors: ComplexArray, order: tuple[int, ...]) -> ComplexArray:
        """M_0 and its derivatives for one pairing, shape (4, 7, n); first axis the chiralities LL, LR, RL, RR."""
        electroweak = self.electroweak
        found, line1, line2 = self._exchange(spinors, order)
        standard = sm_amplitude(found.sm, electroweak.m_z, line1.z * line2.z, electroweak)
        tensors = [
            neutral_tensor_amplitude(structure, tensor_couplings(*unit, electroweak), line1, line2, electroweak)
            for structure in (found.even, found.odd)
            for unit in _UNITS
        ]
        return np.stack([standard, *tensors], axis=1)

    def _exchange(self, spinors: ComplexArray, order: tuple[int, ...]) -> tuple[Structures, NeutralLine, NeutralLine]:
        """Lorentz structures and lines of one pairing."""
        minus1, plus1, minus2, plus2 = (spinors[lepton] for lepton in order)
        found = decay_structures(
            np.stack([plus1, plus1, minus1, minus1]),
            np.stack([minus1, minus1, plus1, plus1]),
            np.stack([plus2, minus2, plus2, minus2]),
            np.stack([minus2, plus2, minus2, plus2]),
        )
        left, right = self.electroweak.z_charge(-0.5, -1.0), self.electroweak.z_charge(0.0, -1.0)
        line1 = self._line(minus1, plus1, np.array([left, left, right, right]))
        line2 = self._line(minus2, plus2, np.array([left, right, left, right]))
        return found, line1, line2

    def _line(self, minus: ComplexArray, plus: ComplexArray, charges: FloatArray) -> NeutralLine:
        product = spinor_product(minus, plus)
        q2 = product.real**2 + product.imag**2
        pole = propagator(q2, self.electroweak.m_z, self.electroweak.gamma_z)
        return NeutralLine(z=charges[:, np.newaxis] * pole, photon=-self.electroweak.e / q2)


def _square(amplitudes: ComplexArray) -> FloatArray:
    """Sum over the first axis of the squared absolute values."""
    result: FloatArray = (amplitudes.real**2 + amplitudes.imag**2).sum(axis=0)
    return result


def decay(
    m1: FloatArray,
    m2: FloatArray,
    cos_theta1: FloatArray,
    cos_theta2: FloatArray,
    phi_4l: FloatArray,
    azimuth: FloatArray,
    m_h: float,
) -> FloatArray:
    """Momenta of the leptons in the rest frame of the Higgs boson, with pair 1 along +z.

    Parameters
    ----------
    m1, m2 : ndarray of float64, any shape
        Masses of the pairs in GeV.
    cos_theta1, cos_theta2 : ndarray of float64, shape (n,)
        Cosine of the angle between l- in the frame of its pair and the flight of the pair.
    phi_4l : ndarray of float64, shape (n,)
        Angle between the planes of the pairs, see `features_of`.
    azimuth : ndarray of float64, shape (n,)
        Azimuth of l1-; that of l2- is azimuth + phi_4l + pi.
    m_h : float
        Mass of the Higgs boson in GeV.

    Returns
    -------
    ndarray of float64, shape (4, n, 4)
        (E, px, py, pz) of l1-, l1+, l2- and l2+ in GeV.
    """
    result = np.empty((4, len(m1), 4))
    momentum = pair_momentum(m1, m2, m_h)
    around = azimuth + phi_4l + math.pi
    for first, mass, cosine, angle, along in ((0, m1, cos_theta1, azimuth, 1.0), (2, m2, cos_theta2, around, -1.0)):
        energy = np.hypot(momentum, mass)
        across = 0.5 * mass * np.sqrt(1.0 - cosine**2)
        for lepton, sign in ((first, 1.0), (first + 1, -1.0)):
            result[lepton, :, 0] = 0.5 * (energy + sign * momentum * cosine)
            result[lepton, :, 1] = sign * across * np.cos(angle)
            result[lepton, :, 2] = sign * across * np.sin(angle)
            result[lepton, :, 3] = along * 0.5 * (momentum + sign * energy * cosine)
    return result


def pair_momentum(m1: FloatArray, m2: FloatArray, m_h: float) -> FloatArray:
    """Momentum of the pairs in the rest frame of the Higgs boson.

    Parameters
    ----------
    m1, m2 : ndarray of float64, any shape
        Masses of the pairs in GeV, with a sum of at most m_h.
    m_h : float
        Mass of the Higgs boson in GeV.

    Returns
    -------
    ndarray of float64, same shape
        In GeV.
    """
    squared = (m_h**2 - (m1 + m2) ** 2) * (m_h**2 - (m1 - m2) ** 2)
    result: FloatArray = np.sqrt(np.maximum(squared, 0.0)) / (2.0 * m_h)
    return result


def turned(momenta: FloatArray, cos_theta: FloatArray, phi: FloatArray) -> FloatArray:
    """Momenta after a rotation that carries the z axis to a given direction.

    Parameters
    ----------
    momenta : ndarray of float64, shape (..., n, 4)
        (E, px, py, pz) in GeV.
    cos_theta, phi : ndarray of float64, shape (n,)
        The direction.

    Returns
    -------
    ndarray of float64, shape (..., n, 4)
        A new array.
    """
    sin_theta, cos_phi, sin_phi = np.sqrt(1.0 - cos_theta**2), np.cos(phi), np.sin(phi)
    energy, x, y, z = (momenta[..., component] for component in range(4))
    ahead = cos_theta * x + sin_theta * z
    return np.stack(
        [energy, cos_phi * ahead - sin_phi * y, sin_phi * ahead + cos_phi * y, cos_theta * z - sin_theta * x], axis=-1
    )


def boosted(momenta: FloatArray, y_h: FloatArray, pt_h: FloatArray, m_h: float) -> FloatArray:
    """Momenta in the laboratory of the decay products of a moving Higgs boson.

    Parameters
    ----------
    momenta : ndarray of float64, shape (..., n, 4)
        (E, px, py, pz) in GeV, in its rest frame.
    y_h, pt_h : ndarray of float64, shape (n,)
        Rapidity and transverse momentum of the Higgs boson, the latter in GeV and along +x.
    m_h : float
        Its mass in GeV.

    Returns
    -------
    ndarray of float64, shape (..., n, 4)
        By a boost without rotation.
    """
    m_t = np.hypot(pt_h, m_h)
    u0, ux, uz = m_t * np.cosh(y_h) / m_h, pt_h / m_h, m_t * np.sinh(y_h) / m_h
    energy, x, y, z = (momenta[..., component] for component in range(4))
    along = ux * x + uz * z
    shift = energy + along / (1.0 + u0)
    return np.stack([u0 * energy + along, x + ux * shift, y, z + uz * shift], axis=-1)


def paired(leptons: FloatArray, pdg: npt.NDArray[np.int64], m_z: float) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Four leptons, named such that pair 1 has the mass closest to mZ of all pairs of opposite charge and one flavour.

    Parameters
    ----------
    leptons : ndarray of float64, shape (4, n, 4)
        Momenta of l-, l+, l- and l+ in GeV; the first two, and the last two, have the same flavour.
    pdg : ndarray of int64, shape (4, n)
        Their PDG identities, with or without sign.
    m_z : float
        Mass of the Z in GeV.

    Returns
    -------
    leptons : ndarray of float64, shape (4, n, 4)
        The same momenta in another order.
    pdg : ndarray of int64, shape (4, n)
        The same identities in that order.
    """
    orders = np.array([(0, 1, 2, 3), (0, 3, 2, 1), (2, 1, 0, 3), (2, 3, 0, 1)])
    distance = np.stack([np.abs(_mass(leptons[minus], leptons[plus]) - m_z) for minus, plus, _, _ in orders])
    distance[1:3, np.abs(pdg[0]) != np.abs(pdg[2])] = math.inf
    chosen = orders[np.argmin(distance, axis=0)].T
    return np.take_along_axis(leptons, chosen[:, :, np.newaxis], axis=0), np.take_along_axis(pdg, chosen, axis=0)


def in_own_frame(leptons: FloatArray) -> FloatArray:
    """Momenta in the rest frame of their sum, by a boost without rotation, the inverse of `boosted`.

    Parameters
    ----------
    leptons : ndarray of float64, shape (4, n, 4)
        (E, px, py, pz) in GeV.

    Returns
    -------
    ndarray of float64, shape (4, n, 4)
        A new array.
    """
    total = leptons.sum(axis=0)
    mass = np.sqrt(dot(total, total))
    u0, u = total[:, 0] / mass, total[:, 1:] / mass[:, np.newaxis]
    along = (leptons[..., 1:] * u).sum(axis=-1)
    shift = along / (1.0 + u0) - leptons[..., 0]
    space = leptons[..., 1:] + shift[..., np.newaxis] * u
    return np.concatenate([(u0 * leptons[..., 0] - along)[..., np.newaxis], space], axis=-1)


def _mass(one: FloatArray, other: FloatArray) -> FloatArray:
    result: FloatArray = np.sqrt(np.maximum(2.0 * dot(one, other), 0.0))
    return result


def features_of(at_rest: FloatArray, seen: FloatArray) -> dict[str, FloatArray]:
    """Return the features by name, in the order of `FEATURES`.

    Phi_4l = sign(q1.(n1 x n2)) arccos(n1.n2) with the normals n_a of p(l_a-) x p(l_a+), in the rest frame.

    Parameters
    ----------
    at_rest : ndarray of float64, shape (4, n, 4)
        Momenta of l1-, l1+, l2- and l2+ in the rest frame of the Higgs boson, in GeV.
    seen : ndarray of float64, shape (4, n, 4)
        Momenta in the frame of the transverse momenta and pseudorapidities.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        The two masses, the two angles of decay and Phi_4l determine every weight up to a common factor.

    Notes
    -----
    arXiv:2112.05052, Eq. 4 and 5. Written in differences p(l-) - p(l+), so that CP acts without rounding.
    """
    minus1, plus1, minus2, plus2 = at_rest
    flight = minus1 + plus1
    apart1, apart2 = minus1 - plus1, minus2 - plus2
    x, y, z = flight[:, 1], flight[:, 2], flight[:, 3]
    (x1, y1, z1), (x2, y2, z2) = apart1[:, 1:].T, apart2[:, 1:].T
    squared = x**2 + y**2 + z**2
    size = np.sqrt(squared)
    # The pairs fly back to back: normals are p(l_a-) - p(l_a+) across the flight, turned by a quarter, up to a sign.
    volume = x * (y1 * z2 - z1 * y2) + y * (z1 * x2 - x1 * z2) + z * (x1 * y2 - y1 * x2)
    across = (x * x1 + y * y1 + z * z1) * (x * x2 + y * y2 + z * z2) - (x1 * x2 + y1 * y2 + z1 * z2) * squared
    sine, length = -size * volume, np.hypot(size * volume, across)
    pt, eta = pt_and_eta(seen)
    columns = (
        np.arctan2(sine, across),
        _mass(minus1, plus1),
        _mass(minus2, plus2),
        apart1[:, 0] / size,
        apart2[:, 0] / size,
        z / size,
        sine / length,
        across / length,
        *pt,
        *eta,
    )
    return dict(zip(FEATURE_NAMES, columns, strict=True))


def accepted(seen: FloatArray, electrons: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which events a detector would see.

    Electrons have pT > 7 GeV and |eta| < 2.47, muons pT > 5 GeV and |eta| < 2.7, the leading two leptons pT > 20 GeV
    and 10 GeV; any two leptons are more than 0.05 apart in (eta, phi).

    Parameters
    ----------
    seen : ndarray of float64, shape (4, n, 4)
        Momenta (E, px, py, pz) of the leptons in the laboratory, in GeV.
    electrons : ndarray of bool, shape (4, n)
        Which leptons are electrons; the others are muons.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for events that are seen.

    Notes
    -----
    The fiducial region of arXiv:2103.01918, but for the masses of the pairs.
    """
    (pt, eta), phi = pt_and_eta(seen), np.arctan2(seen[..., 2], seen[..., 1])
    inside = (pt > np.where(electrons, 7.0, 5.0)) & (np.abs(eta) < np.where(electrons, 2.47, 2.7))
    result: npt.NDArray[np.bool_] = np.logical_and.reduce(inside, axis=0)
    ordered = np.sort(pt, axis=0)
    result &= (ordered[3] > 20.0) & (ordered[2] > 10.0)
    for one, other in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        dphi = np.abs(phi[one] - phi[other])
        result &= np.hypot(eta[one] - eta[other], np.minimum(dphi, 2.0 * math.pi - dphi)) > 0.05
    return result


def features_of_particles(events: LHEEvents) -> tuple[FloatArray, tuple[str, ...]]:
    """Features of `FEATURES` from particles of any source, for ``bit.read_lhe(path, features=...)``.

    Parameters
    ----------
    events : LHEEvents
        With four charged leptons among the outgoing particles of each event, and anything else: the Higgs boson is
        their sum.

    Returns
    -------
    features : ndarray of float64, shape (n_events, 16)
        As `simulate` gives them, with transverse momenta and pseudorapidities in the frame of the record.
    names : tuple of str
        `FEATURE_NAMES`.

    Raises
    ------
    InputError
        If there are events without two pairs of electrons or muons of opposite charge.
    """
    seen, _ = paired(*_four_leptons(events), Electroweak().m_z)
    return np.stack(list(features_of(in_own_frame(seen), seen).values()), axis=-1), FEATURE_NAMES


def weights_of_particles(events: LHEEvents, *, electroweak: Electroweak | None = None) -> FloatArray:
    """Squared amplitudes of the decay at the momenta of particles of any source, to compare event by event.

    Parameters
    ----------
    events : LHEEvents
        As for `features_of_particles`.
    electroweak : Electroweak, optional
        Masses and couplings, default those of `simulate`.

    Returns
    -------
    ndarray of float64, shape (n_events, 28)
        `H4L.squared_amplitudes` for the flavours of each event, without unit.

    Raises
    ------
    InputError
        If there are events without two pairs of electrons or muons of opposite charge.
    """
    leptons, pdg = _four_leptons(events)
    constants = electroweak or Electroweak()
    one_flavour = np.abs(pdg[0]) == np.abs(pdg[2])
    result = np.empty((events.n_events, PolynomialBasis(PARAM_NAMES).n_terms))
    channels: tuple[tuple[Channel, npt.NDArray[np.bool_]], ...] = (("2e2mu", ~one_flavour), ("4e", one_flavour))
    for channel, rows in channels:
        result[rows] = H4L(channel, constants).squared_amplitudes(leptons[:, rows])
    return result


def _four_leptons(events: LHEEvents) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Leptons l-, l+, l-, l+ of each event, in pairs of one flavour, massless: momenta (4, n, 4) and identities."""
    event = np.repeat(np.arange(events.n_events), np.diff(events.offsets))
    chosen = (events.status == 1) & np.isin(np.abs(events.pdg), (_ELECTRON, _MUON, _TAU))
    fits = np.bincount(event[chosen], minlength=events.n_events) == 4
    chosen &= fits[event]
    pdg = events.pdg[chosen].reshape(-1, 4)
    # Negative leptons first, electrons before muons: then in pairs.
    order = np.lexsort((np.abs(pdg), pdg < 0))[:, [0, 2, 1, 3]]
    pdg = np.take_along_axis(pdg, order, axis=1)
    in_pairs = (pdg[:, [0, 2]] == -pdg[:, [1, 3]]).all(axis=1) & (pdg[:, [0, 2]] > 0).all(axis=1)
    n_bad = int(events.n_events - (in_pairs & (np.abs(pdg) != _TAU).all(axis=1)).sum())
    if n_bad:
        raise InputError(
            f"{n_bad} of {events.n_events} events do not hold two pairs of outgoing electrons or muons of opposite "
            "charge, and no further charged lepton: they are not h -> 4l; leave them out."
        )
    momenta = np.take_along_axis(events.momenta[chosen].reshape(-1, 4, 4), order[:, :, np.newaxis], axis=1)
    momenta[..., 0] = np.sqrt((momenta[..., 1:] ** 2).sum(axis=-1))
    return np.moveaxis(momenta, 1, 0), pdg.T


def simulate(
    n_events: int,
    *,
    seed: int,
    channel: Channel = "2e2mu",
    frame: Literal["rest", "lab"] = "rest",
    acceptance: bool = False,
    smear: bool | Detector = False,
    m_ll_min: float = 5.0,
    pt_scale: float = 20.0,
    mu_f: float | None = None,
    e: float = 0.3028,
    cuts: str | None = None,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate h -> 2e2mu, 4e or 4mu with exact weights in cHW, cHB, cHWB and their CP-odd partners.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    channel : {"2e2mu", "4e", "4mu"}, default="2e2mu"
        Flavours of the leptons.
    frame : {"rest", "lab"}, default="rest"
        Frame of the transverse momenta and pseudorapidities: that of the Higgs boson, or the laboratory, with the
        rapidity that gluon fusion gives it and a transverse momentum. All else is defined in the former.
    acceptance : bool, default=False
        Keep only events that a detector would see (`accepted`); needs ``frame="lab"``.
    smear : bool or Detector, default=False
        Measure the leptons with a detector, True for `bit.processes.detector.Detector` as it is; needs
        ``frame="lab"``. Features, cuts and acceptance then are those of the measured leptons, in the rest frame of
        their sum. Weights, and `m_ll_min`, stay those of the true ones, so that the truth as a function of the features
        is an average. Efficiencies are not applied.
    m_ll_min : float, default=5.0
        Lowest mass in GeV of every pair of opposite charge and same flavour.
    pt_scale : float, default=20.0
        In GeV: transverse momenta of the Higgs boson in the laboratory are drawn from pT/(pT^2 + scale^2)^2 up to 50
        times this scale, and point along +x; 0 for none.
    mu_f : float, optional
        Factorisation scale in GeV of the gluons, default mH/2; only for ``frame="lab"``.
    e : float, default=0.3028
        Electromagnetic coupling; 0.3123 gives the rate of G_F. Ratios of weights do not depend on it.
    cuts : str, optional
        "higgs" of `SELECTIONS`, or comparisons of features with numbers, ``"m12>50, m34>12"``.
    theta0 : array-like of shape (6,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and 28 weight terms in fb; cross-section, its error, and the
        configuration. ``aux["leptons"]`` holds the momenta in `frame`, shape (n_events, 16), (E, px, py, pz) of
        l1-, l1+, l2- and l2+ in GeV, as measured if there is a detector; ``aux["pdg"]`` their PDG identities, shape
        (n_events, 4); with a detector, ``aux["true_leptons"]`` the true momenta in pairs by the true masses. Les
        Houches records hold the true leptons.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    The cross-section is `SIGMA_H_FB` times the width of the decay over `GAMMA_H_GEV`, both of the Standard Model.
    """
    basis = PolynomialBasis(PARAM_NAMES, order=2)
    point = reference_point(basis, theta0)
    electroweak = _check(n_events, seed, channel, frame, acceptance, smear, m_ll_min, pt_scale, mu_f, e)
    selection = SELECTIONS.get(cuts or "", cuts)
    process = H4L(channel, electroweak)
    scale = electroweak.m_h / 2.0 if mu_f is None else float(mu_f)
    motion = _Motion.of(scale, float(pt_scale), electroweak.m_h) if frame == "lab" else None
    detector = as_detector(smear)
    cube = _Cube(process, parse_cuts(selection, FEATURE_NAMES), point, float(m_ll_min), motion, acceptance, detector)
    return generate(
        cube,
        basis,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration={
            "process": "h4l",
            "channel": channel,
            "frame": frame,
            "acceptance": bool(acceptance),
            "detector": detector.configuration() if detector else None,
            "m_ll_min": float(m_ll_min),
            "pt_scale": float(pt_scale),
            "mu_f": scale if motion else None,
            "e": e,
            "cuts": selection,
            "sigma_h_fb": SIGMA_H_FB,
            "gamma_h_gev": GAMMA_H_GEV,
            "pdf": load().origin if motion else None,
        },
        n_eff_fraction=_N_EFF_FRACTION,
        show_progress=show_progress,
    )


_N_EFF_FRACTION = 0.92


def _check(
    n_events: int,
    seed: int,
    channel: str,
    frame: str,
    acceptance: bool,
    smear: bool | Detector,
    m_ll_min: float,
    pt_scale: float,
    mu_f: float | None,
    e: float,
) -> Electroweak:
    """Constants, unless an argument of `simulate` is outside its rule."""
    require_common(n_events, seed, e)
    electroweak = Electroweak(e=e)
    for name, value, known in (
        ("channel", channel, ("2e2mu", "4e", "4mu")),
        ("frame", frame, ("rest", "lab")),
    ):
        if value not in known:
            raise InputError(f"{name}={value!r}: {near_match(value, known)}")
    if not 0.0 < m_ll_min < electroweak.m_h / 2.0:
        raise InputError(f"m_ll_min={m_ll_min!r}: a mass in GeV above 0 and below mH/2 is needed.")
    if not (math.isfinite(pt_scale) and pt_scale >= 0.0):
        raise InputError(f"pt_scale={pt_scale!r}: a momentum in GeV of at least 0 is needed.")
    require_scale(mu_f, "None for mH/2")
    asked = {"acceptance": acceptance, "smear": as_detector(smear) is not None, "mu_f": mu_f is not None}
    option = next((name for name, wanted in asked.items() if wanted), None)
    if frame == "rest" and option:
        raise InputError(f"{option} has no meaning for frame='rest': ask for frame='lab', or leave it out.")
    return electroweak


@dataclass(frozen=True, eq=False)
class _Motion:
    """Rapidity and transverse momentum of the Higgs boson, by their quantiles.

    The rapidity is distributed like g(x1) g(x2), x = (mH/sqrt S) exp(+-y).
    """

    y: FloatArray
    reached: FloatArray
    pt_scale: float

    @classmethod
    def of(cls, mu_f: float, pt_scale: float, m_h: float) -> _Motion:
        tau = m_h / SQRT_S_GEV
        y = np.linspace(math.log(tau), -math.log(tau), 4001)
        gluons = np.maximum(load().xf((21,), tau * np.exp(y), mu_f)[:, 0], 0.0)
        density = gluons * gluons[::-1]
        reached = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
        return cls(y, reached / reached[-1], pt_scale)

    def __call__(self, u_y: FloatArray, u_pt: FloatArray) -> tuple[FloatArray, FloatArray]:
        # At most 50 times the scale: the quantile is u = pT^2/(pT^2 + scale^2).
        u = u_pt * (2500.0 / 2501.0)
        return np.interp(u_y, self.reached, self.y), self.pt_scale * np.sqrt(u / (1.0 - u))


@dataclass(frozen=True)
class _Observed:
    """What is known of each event of a cube: leptons as they are, and as they are observed and paired."""

    true: FloatArray
    """Momenta in the rest frame of the Higgs boson."""
    pdg: npt.NDArray[np.int64]
    """Their identities, shape (4, n)."""
    true_seen: FloatArray
    """Momenta in the frame of the transverse momenta."""
    at_rest: FloatArray
    seen: FloatArray
    seen_pdg: npt.NDArray[np.int64]

    @property
    def features(self) -> dict[str, FloatArray]:
        return features_of(self.at_rest, self.seen)


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the phase space with pair 1 the heavier, which is the one closer to mZ.

    m1^2 follows the resonance; flat are m2, all angles, and which pair are electrons. Two further dimensions move the
    Higgs boson, and twelve more are the quantiles of what the detector does to the leptons.
    """

    process: H4L
    cuts: Cuts
    theta0: FloatArray
    m_ll_min: float
    motion: _Motion | None
    acceptance: bool
    detector: Detector | None = None

    @property
    def n_dim(self) -> int:
        if self.motion is None:
            return _DIM_DECAY
        return _DIM_MOVING if self.detector is None else _DIM_MOVING + 12

    def phase_space(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Leptons at rest, and d Phi_4/d(points)."""
        electroweak = self.process.electroweak
        m_h, m_z, lowest = electroweak.m_h, electroweak.m_z, self.m_ll_min
        u_m1, u_m2, u_theta1, u_theta2, u_phi, u_star, u_azimuth, u_turn = points.T[:8]
        breadth = m_z * electroweak.gamma_z
        low, high = (math.atan((mass**2 - m_z**2) / breadth) for mass in (lowest, m_h - lowest))
        m1_squared = m_z**2 + breadth * np.tan(low + (high - low) * u_m1)
        m1 = np.sqrt(np.clip(m1_squared, lowest**2, (m_h - lowest) ** 2))
        width = np.minimum(m1, m_h - m1) - lowest
        m2 = lowest + width * u_m2
        leptons = decay(
            m1,
            m2,
            2.0 * u_theta1 - 1.0,
            2.0 * u_theta2 - 1.0,
            math.pi * (2.0 * u_phi - 1.0),
            math.pi * (2.0 * u_azimuth - 1.0),
            m_h,
        )
        leptons = turned(leptons, 2.0 * u_star - 1.0, math.pi * (2.0 * u_turn - 1.0))
        masses = ((m1**2 - m_z**2) ** 2 + breadth**2) / breadth * (high - low) * 2.0 * m2 * width
        # sqrt(lambda)/(8 pi mH^2) for the pairs, 1/(8 pi) for the leptons of each; angles are normalised.
        angles = 2.0 * pair_momentum(m1, m2, m_h) / (8.0 * math.pi * m_h) / (8.0 * math.pi) ** 2
        return leptons, masses / (2.0 * math.pi) ** 2 * angles

    def observed(self, leptons: FloatArray, points: FloatArray) -> _Observed:
        """Leptons of `phase_space`, paired, moved and measured."""
        m_z = self.process.electroweak.m_z
        true, pdg = leptons, self._pdg(points)
        if self.process.channel != "2e2mu":
            true, pdg = paired(true, pdg, m_z)
        if self.motion is None:
            return _Observed(true, pdg, true, true, true, pdg)
        moving = boosted(true, *self.motion(points[:, 9], points[:, 10]), self.process.electroweak.m_h)
        if self.detector is None:
            return _Observed(true, pdg, moving, true, moving, pdg)
        normals = np.moveaxis(standard_normals(points[:, _DIM_MOVING:]).reshape(-1, 4, 3), 1, 0)
        measured = self.detector.smear_leptons(moving, np.abs(pdg) == _ELECTRON, normals)
        seen, seen_pdg = paired(measured, pdg, m_z)
        return _Observed(true, pdg, moving, in_own_frame(seen), seen, seen_pdg)

    def _pdg(self, points: FloatArray) -> npt.NDArray[np.int64]:
        """PDG identities, shape (4, n)."""
        if self.process.channel != "2e2mu":
            flavours = np.full((4, len(points)), _ELECTRON if self.process.channel == "4e" else _MUON)
        else:
            pair1, pair2 = np.where(points[:, 8] < 0.5, [[_ELECTRON], [_MUON]], [[_MUON], [_ELECTRON]])
            flavours = np.stack([pair1, pair1, pair2, pair2])
        signed: npt.NDArray[np.int64] = flavours * _CHARGES[:, np.newaxis]
        return signed

    def _possible(self, observed: _Observed) -> npt.NDArray[np.bool_]:
        """Which events pass the limit on masses, the cuts and the acceptance."""
        result = self.cuts.passes(observed.features)
        for minus1, plus1, minus2, plus2 in self.process.pairings:
            for minus, plus in ((minus1, plus1), (minus2, plus2)):
                result &= _mass(observed.true[minus], observed.true[plus]) >= self.m_ll_min
        if self.acceptance:
            result &= accepted(observed.seen, np.abs(observed.seen_pdg) == _ELECTRON)
        return result

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        leptons, jacobian = self.phase_space(points)
        amplitudes, share = self.process.amplitudes(leptons)
        at_point = amplitudes[:, 0] + np.tensordot(amplitudes[:, 1:], self.theta0, (1, 0))
        nominal = _square(at_point)
        linear = 2.0 * (at_point[:, np.newaxis].conj() * amplitudes[:, 1:]).real.sum(axis=0)
        # Either pair may be the heavier one; of several pairings each is sampled in proportion to its share.
        multiplicity = 2.0 * len(self.process.pairings) * share
        rate = SIGMA_H_FB / GAMMA_H_GEV / (2.0 * self.process.electroweak.m_h)
        density = rate * nominal * multiplicity * jacobian
        density[~self._possible(self.observed(leptons, points))] = 0.0
        # The emphasis follows the Fisher information of all coefficients, most of which is next to the photon poles.
        return density, ((linear / nominal) ** 2).sum(axis=0)

    def events(self, points: FloatArray) -> Events:
        found = self.observed(self.phase_space(points)[0], points)
        aux = {"leptons": _by_event(found.seen).reshape(-1, 16), "pdg": found.seen_pdg.T}
        if self.detector is not None:
            aux["true_leptons"] = _by_event(found.true_seen).reshape(-1, 16)
        return Events(found.features, self.process.squared_amplitudes(found.true), aux)

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        del rng  # nothing is left open: the Higgs boson is the incoming particle
        found = self.observed(self.phase_space(points)[0], points)
        leptons = _by_event(found.true_seen)
        return Particles(
            pdg=np.insert(found.pdg.T, 0, _HIGGS, axis=1),
            status=(-1, 1, 1, 1, 1),
            mothers=((0, 0), (1, 1), (1, 1), (1, 1), (1, 1)),
            colour=np.zeros((len(points), 5, 2), dtype=np.int64),
            momenta=np.concatenate([leptons.sum(axis=1, keepdims=True), leptons], axis=1),
            mass=np.array([self.process.electroweak.m_h, 0.0, 0.0, 0.0, 0.0]),
        )


_DIM_DECAY, _DIM_MOVING = 9, 11


def _by_event(leptons: FloatArray) -> FloatArray:
    """Four-momenta of shape (4, n, 4) as (n, 4, 4)."""
    return np.moveaxis(leptons, 0, 1)
