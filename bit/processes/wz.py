"""pp -> W+- Z -> l nu l l at leading order, with exact weights in cW and cHq3.

Operators: O_W = eps_IJK W^I_m^n W^J_n^r W^K_r^m and O_Hq3 = (H^dagger i D^I_m H)(Q sigma^I gamma^m Q), universal in the
quark generations, of which the shifts of the couplings of W and Z to quarks are kept. Both bosons are on-shell (narrow)
with exact spin correlations; the amplitudes are those of `bit.processes.wz_amplitudes`. CKM = 1; the leptons of W and Z
are of different flavours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bit.basis import FloatArray, PolynomialBasis, ThetaLike
from bit.errors import InputError, near_match
from bit.parity import CPParity
from bit.particles import LHEEvents
from bit.processes.currents import current, dot
from bit.processes.cuts import Cuts, parse_cuts
from bit.processes.detector import Detector, as_detector, standard_normals
from bit.processes.hvv import FB_GEV2, Electroweak, weights_from_amplitudes
from bit.processes.pdf import PartonDensities, load
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
from bit.processes.wz_amplitudes import WZAmplitudes, after_decay, decay

Charge: TypeAlias = Literal["both", "plus", "minus"]
Neutrino: TypeAlias = Literal["ambiguous", "known"]

PARAM_NAMES = ("cW", "cHq3")

FEATURES = (
    Feature("sqrt_s", "GeV", r"\sqrt{\hat{s}}"),
    Feature("pt", "GeV", r"p_{T,V}"),
    Feature("y", "", r"y_{WZ}"),
    Feature("cos_theta", "", r"\cos\Theta"),
    Feature("cos_theta_w", "", r"\cos\theta_W"),
    Feature("cos_theta_z", "", r"\cos\theta_Z"),
    Feature("phi_w", "", r"\phi_W"),
    Feature("phi_z", "", r"\phi_Z"),
    Feature("charge", "", r"q_W"),
    Feature("sin_phi_w", "", r"\sin\phi_W"),
    Feature("cos_phi_w", "", r"\cos\phi_W"),
    Feature("sin_2phi_w", "", r"\sin2\phi_W"),
    Feature("cos_2phi_w", "", r"\cos2\phi_W"),
    Feature("sin_phi_z", "", r"\sin\phi_Z"),
    Feature("cos_phi_z", "", r"\cos\phi_Z"),
    Feature("sin_2phi_z", "", r"\sin2\phi_Z"),
    Feature("cos_2phi_z", "", r"\cos2\phi_Z"),
)
"""Angles of the charged lepton of the W and of the l- of the Z in the frames of their bosons: z along the flight of the
boson, y along beam x boson, x = y x z; the beam is that along +z, Theta the angle of the W to it."""
FEATURE_NAMES = tuple(feature.name for feature in FEATURES)

CP_PARITY = CPParity(flip=("phi_w", "phi_z", "sin_phi_w", "sin_2phi_w", "sin_phi_z", "sin_2phi_z"))
"""Reflection of all momenta, y -> -y (naive time reversal). At leading order no amplitude has an absorptive part and
both operators are even under CP, so that every term of the weights is even: there is no odd coefficient. The map still
serves to double a sample and to make a model exactly even. CP itself would exchange W+ and W-, and the protons with
antiprotons."""

SELECTIONS = {"boosted": "pt>300"}
"""Cuts by name: where the coefficients act."""

_ELECTRON, _MUON, _Z, _W = 11, 13, 23, 24
_CHARGED, _NEUTRINOS, _HEAVIEST_QUARK = (11, 13, 15), (12, 14, 16), 5
_ORDERS = tuple(permutations(range(4)))
"""Where the lepton and neutrino of the W, l- and l+ of the Z may stand among four particles."""


@dataclass(frozen=True, eq=False)
class WZ:
    """The process at fixed settings, a function of the phase space.

    Parameters
    ----------
    neutrino : {"ambiguous", "known"}
        Whether weights are summed over the two solutions phi_W and pi - phi_W for the neutrino.
    generations : {1, 2}
        Initial quarks: u dbar and d ubar, or also c sbar and s cbar.
    mu_f : float or None
        Factorisation scale in GeV, None for sqrt(s) of the partons.
    electroweak : Electroweak
        Couplings, mZ and the widths; mW is mZ c_w, and v = 2 mW/g.
    pdf : PartonDensities
        Densities; negative ones count as 0, so that every weight is positive.
    """

    neutrino: Neutrino = "ambiguous"
    generations: Literal[1, 2] = 2
    mu_f: float | None = None
    electroweak: Electroweak = field(default_factory=Electroweak)
    pdf: PartonDensities = field(default_factory=load)

    @cached_property
    def amplitudes(self) -> WZAmplitudes:
        """Amplitudes of the partons."""
        return WZAmplitudes(self.electroweak)

    @property
    def branching_ratio(self) -> float:
        """Product of the branching ratios into one lepton flavour each.

        g^2 mW/(48 pi Gamma_W) for W -> l nu and mZ (g_L^2 + g_R^2)/(24 pi Gamma_Z) for Z -> l l.
        """
        electroweak = self.electroweak
        of_w = electroweak.g**2 * self.amplitudes.m_w / (48.0 * math.pi * electroweak.gamma_w)
        left, right = self.amplitudes.lepton_charges
        return of_w * electroweak.m_z * (left**2 + right**2) / (24.0 * math.pi * electroweak.gamma_z)

    def luminosities(self, sqrt_s: FloatArray, y: FloatArray, charge: FloatArray) -> FloatArray:
        """Products x1 f(x1) x2 f(x2) of the densities of quark and antiquark.

        Parameters
        ----------
        sqrt_s, y : ndarray of float64, shape (n,)
            Invariant mass in GeV and rapidity of WZ.
        charge : ndarray of float64, shape (n,)
            Charge of the W, +1 or -1.

        Returns
        -------
        ndarray of float64, shape (2, n_generations, n)
            First axis: the quark along +z, along -z. Without unit.
        """
        scale = sqrt_s if self.mu_f is None else np.full_like(sqrt_s, self.mu_f)
        tau = sqrt_s / SQRT_S_GEV
        quarks = _QUARKS[: 2 * self.generations]
        ids = [*quarks, *(-quark for quark in quarks)]
        fractions = np.stack([tau * np.exp(y), tau * np.exp(-y)])
        # Axes: momentum fraction ahead or behind; quark or antiquark; generation; down or up.
        density = np.maximum(self.pdf.xf(ids, fractions, scale), 0.0)
        density = np.moveaxis(density.reshape(2, len(sqrt_s), 2, self.generations, 2), 1, -1)
        plus = charge > 0.0
        quark = np.where(plus, density[:, 0, :, 1], density[:, 0, :, 0])
        antiquark = np.where(plus, density[:, 1, :, 0], density[:, 1, :, 1])
        return quark * antiquark[::-1]

    def contributions(self, features: dict[str, FloatArray]) -> FloatArray:
        """Weight polynomials of all that the differential cross-section sums over, but for the luminosity.

        Parameters
        ----------
        features : dict of str to ndarray of float64, shape (n,)
            sqrt_s, cos_theta, cos_theta_w, cos_theta_z, phi_w, phi_z and charge, see `FEATURES`.

        Returns
        -------
        ndarray of float64, shape (2, n_solutions, n, n_terms)
            First axis: the quark along +z, along -z; second: phi_W and, if the neutrino is ambiguous, pi - phi_W.

        Notes
        -----
        To look from the other beam turns y around, and so both azimuths by pi.
        """
        sqrt_s, cos_theta, charge = features["sqrt_s"], features["cos_theta"], features["charge"]
        phi_w = features["phi_w"]
        azimuths = [phi_w] if self.neutrino == "known" else [phi_w, math.pi - phi_w]
        decays_w = [decay(features["cos_theta_w"], azimuth, -charge) for azimuth in azimuths]
        decays_z = self.amplitudes.z_decay(features["cos_theta_z"], features["phi_z"])
        result = np.empty((2, len(azimuths), len(sqrt_s), 6))
        for beam, sign in enumerate((1.0, -1.0)):
            helicities = self.amplitudes.helicity_amplitudes(sqrt_s, sign * cos_theta, charge)
            if sign < 0.0:
                helicities *= _HALF_A_TURN
            after_z = [after_decay(helicities, of_z) for of_z in decays_z]
            for solution, of_w in enumerate(decays_w):
                amplitudes = np.stack([after_decay(one, of_w) for one in after_z])
                result[beam, solution] = weights_from_amplitudes(amplitudes)
        return result

    def differential_weights(self, features: dict[str, FloatArray]) -> FloatArray:
        """Weight polynomial of the differential cross-section of proton collisions.

        d sigma/(d sqrt(s) dy dcosT dcos th_W dcos th_Z dphi_W dphi_Z) of one charge, with both assignments of quark and
        antiquark to the beams, and with both solutions for the neutrino if it is ambiguous.

        Parameters
        ----------
        features : dict of str to ndarray of float64, shape (n,)
            As for `contributions`, and y.

        Returns
        -------
        ndarray of float64, shape (n, n_terms)
            In fb/GeV, branching ratios into one lepton flavour each included.
        """
        sqrt_s = features["sqrt_s"]
        luminosity = self.luminosities(sqrt_s, features["y"], features["charge"]).sum(axis=1)
        # 1/12 averages over spins and colours, 1/(2s) is the flux, p/(8 pi sqrt(s)) dcosT the phase space,
        # and 2 d sqrt(s)/sqrt(s) dy the measure dx1 dx2/(x1 x2).
        factor = FB_GEV2 * self.branching_ratio / 12.0 / (2.0 * sqrt_s**2) * 2.0 / sqrt_s
        factor = factor * self.amplitudes.momentum(sqrt_s) / (8.0 * math.pi * sqrt_s)
        squared = self.contributions(features).sum(axis=1)
        result: FloatArray = ((luminosity * factor)[..., np.newaxis] * squared).sum(axis=0)
        return result


_HALF_A_TURN = np.array([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]])[:, :, np.newaxis]
"""exp(i pi (h_W + h_Z)) for helicities +1, 0, -1."""
_QUARKS = (1, 2, 3, 4)
"""PDG identities: down and up of each generation."""


SOFT_SUM_ET_GEV = 400.0
"""Transverse energy of all but the leptons, pile-up included: a round number, which alone gives each component of the
missing momentum a resolution of 0.5 GeV^(1/2) sqrt(400 GeV) = 10 GeV."""


def measured(
    leptons: FloatArray, normals: FloatArray, missing_normals: FloatArray, detector: Detector
) -> tuple[FloatArray, FloatArray]:
    """Charged leptons and missing momentum as a detector measures them.

    Parameters
    ----------
    leptons : ndarray of float64, shape (3, n, 4)
        (E, px, py, pz) in GeV in the laboratory of the charged lepton of the W and of the two of the Z; together with
        the neutrino they have no transverse momentum.
    normals : ndarray of float64, shape (3, n, 3)
        Independent standard normal numbers, see `bit.processes.detector.Response.smear`.
    missing_normals : ndarray of float64, shape (n, 2)
        More of them.
    detector : Detector
        The lepton of the W is measured as an electron, those of the Z as muons. The missing transverse momentum
        balances the measured leptons, but for `Detector.missing` with the sum of their pT and `SOFT_SUM_ET_GEV`.

    Returns
    -------
    leptons : ndarray of float64, shape (3, n, 4)
        In GeV.
    missing : ndarray of float64, shape (n, 2)
        px and py in GeV.
    """
    electrons = np.zeros(leptons.shape[:2], dtype=bool)
    electrons[0] = True
    seen = detector.smear_leptons(leptons, electrons, normals)
    sum_et = np.hypot(seen[..., 1], seen[..., 2]).sum(axis=0) + SOFT_SUM_ET_GEV
    return seen, detector.smear_missing(-seen[..., 1:3].sum(axis=0), sum_et, missing_normals)


def reconstructed(leptons: FloatArray, missing: FloatArray, m_w: float) -> FloatArray:
    """Neutrino of W -> l nu from the missing transverse momentum and the mass of the W.

    With the lepton l, the transverse momentum k of the neutrino, and a = mW^2/2 + k.l_T, the solutions of
    (l + nu)^2 = mW^2 are

        nu_z = (a l_z +- E_l sqrt(a^2 - k^2 l_T^2))/l_T^2;

    where the root is imaginary, it is left out. Of the two the one with the smaller mass of all leptons is taken, a
    choice that does not depend on boosts along the beam.

    Parameters
    ----------
    leptons : ndarray of float64, shape (3, n, 4)
        (E, px, py, pz) in GeV of the lepton of the W and of the two of the Z, with pT > 0.
    missing : ndarray of float64, shape (n, 2)
        px and py in GeV.
    m_w : float
        Mass of the W in GeV.

    Returns
    -------
    ndarray of float64, shape (n, 4)
        Momentum of the neutrino in GeV.
    """
    energy, along = leptons[0, :, 0], leptons[0, :, 3]
    lepton_pt2 = (leptons[0, :, 1:3] ** 2).sum(axis=-1)
    a = 0.5 * m_w**2 + (missing * leptons[0, :, 1:3]).sum(axis=-1)
    missing2 = (missing**2).sum(axis=-1)
    root = np.sqrt(np.maximum(a**2 - missing2 * lepton_pt2, 0.0))
    nu_z = (a * along + np.multiply.outer([1.0, -1.0], energy * root)) / lepton_pt2
    nu_energy = np.sqrt(missing2 + nu_z**2)
    visible = leptons.sum(axis=0)
    # The transverse momentum is the same for both: the smaller mass is that of the smaller E^2 - pz^2.
    squared = (visible[:, 0] + nu_energy) ** 2 - (visible[:, 3] + nu_z) ** 2
    second = squared[1] < squared[0]
    nu_z, nu_energy = np.where(second, nu_z[1], nu_z[0]), np.where(second, nu_energy[1], nu_energy[0])
    return np.stack([nu_energy, *missing.T, nu_z], axis=-1)


_N_SMEARING = 11


# ---------------------------------------------------------------------- simulation
def features_of(features: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Return all features by name, in the order of `FEATURES`.

    Parameters
    ----------
    features : dict of str to ndarray of float64, shape (n,)
        The first nine of `FEATURES`.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        With sines and cosines of once and twice the azimuths.
    """
    columns = [features[name] for name in FEATURE_NAMES[:9]]
    for azimuth in (features["phi_w"], features["phi_z"]):
        columns += [np.sin(azimuth), np.cos(azimuth), np.sin(2.0 * azimuth), np.cos(2.0 * azimuth)]
    return dict(zip(FEATURE_NAMES, columns, strict=True))


def simulate(
    n_events: int,
    *,
    seed: int,
    charge: Charge = "both",
    neutrino: Neutrino = "ambiguous",
    generations: Literal[1, 2] = 2,
    mu_f: float | Literal["sqrt_s"] = "sqrt_s",
    e: float = 0.3028,
    cuts: str | None = None,
    smear: bool | Detector = False,
    theta0: ThetaLike | None = None,
    show_progress: bool = True,
) -> Simulation:
    """Simulate pp -> W+- Z -> l nu l l at 13 TeV with exact weights in cW and cHq3.

    Parameters
    ----------
    n_events : int
        Number of events, at least 1.
    seed : int
        Not negative; the same seed gives the same table.
    charge : {"both", "plus", "minus"}, default="both"
        Charge of the W.
    neutrino : {"ambiguous", "known"}, default="ambiguous"
        The mass of the W and the transverse momentum of the neutrino leave two solutions for the latter, which at high
        energies differ by phi_W <-> pi - phi_W. "ambiguous" adds the weights of both, and phi_W is the solution between
        -pi/2 and pi/2. "known" takes the neutrino as it is, with phi_W between -pi and pi.
    generations : {1, 2}, default=2
        Initial quarks: u dbar and d ubar, or also c sbar and s cbar.
    mu_f : float or "sqrt_s", default="sqrt_s"
        Factorisation scale in GeV, or the partonic centre-of-mass energy.
    e : float, default=0.3028
        Electromagnetic coupling; 0.31345 is its value at mZ.
    cuts : str, optional
        "boosted" of `SELECTIONS`, or comparisons of features with numbers, ``"pt>300, sqrt_s<4000"``.
    smear : bool or Detector, default=False
        Measure the leptons with a detector (`measured`), True for `bit.processes.detector.Detector` as it is, and find
        the neutrino (`reconstructed`). Features and cuts then are those of these momenta, phi_W folded into -pi/2 to
        pi/2 as for ``neutrino="ambiguous"``, which is needed. Weights stay those of the true momenta with the true
        neutrino alone, so that the truth as a function of the features is an average over the ambiguity, too; the
        cross-section is the same. Efficiencies are not applied.
    theta0 : array-like of shape (2,), or mapping, optional
        Reference point of the weights in TeV^-2, at which the events are drawn; default the Standard Model.
    show_progress : bool, default=True
        Draw progress bars.

    Returns
    -------
    Simulation
        Table with the features `FEATURES` (float32) and six weight terms in fb, cross-section times branching ratios
        into one lepton flavour each, its error, and the configuration. Weights are a function of the features, unless
        these are measured. Les Houches records hold the true momenta.

    Raises
    ------
    InputError
        For arguments outside their rule, an unknown feature in the cuts, or cuts that leave nothing.
    MissingPackageError
        If vegas is not installed.

    Notes
    -----
    As in `bit.processes.zh.simulate`, a share of the events is drawn like s^2 times the cross-section, such that
    n_eff/n is about 0.75: the tail, where the coefficients act, holds many events.
    """
    basis = PolynomialBasis(PARAM_NAMES, order=2)
    point = reference_point(basis, theta0)
    _check(n_events, seed, charge, neutrino, generations, mu_f, e)
    selection = SELECTIONS.get(cuts or "", cuts)
    detector = as_detector(smear)
    if detector and neutrino == "known":
        raise InputError("smear: a detector does not see the neutrino; ask for neutrino='ambiguous', or smear=False.")
    # The true neutrino is one of the two solutions.
    solutions: Neutrino = "known" if detector else neutrino
    process = WZ(solutions, generations, None if mu_f == "sqrt_s" else float(mu_f), Electroweak(e=e))
    cube = _Cube.of(process, parse_cuts(selection, FEATURE_NAMES), basis.monomials(point), charge, detector)
    return generate(
        cube,
        basis,
        FEATURES,
        point,
        n_events=n_events,
        seed=seed,
        configuration={
            "process": "wz",
            "charge": charge,
            "neutrino": neutrino,
            "generations": generations,
            "mu_f": mu_f,
            "e": e,
            "cuts": selection,
            "branching_ratio": process.branching_ratio,
            "detector": detector.configuration() if detector else None,
            "soft_sum_et_gev": SOFT_SUM_ET_GEV if detector else None,
            "pdf": load().origin,
        },
        n_eff_fraction=_N_EFF_FRACTION,
        show_progress=show_progress,
    )


_N_EFF_FRACTION = 0.75
_CHARGES = {"both": (1.0, -1.0), "plus": (1.0,), "minus": (-1.0,)}


def _check(n_events: int, seed: int, charge: str, neutrino: str, generations: int, mu_f: object, e: float) -> None:
    """Refuse arguments of `simulate` outside their rule."""
    require_common(n_events, seed, e)
    require_scale(None if mu_f == "sqrt_s" else mu_f, "'sqrt_s'")
    for name, value, known in (
        ("charge", charge, _CHARGES),
        ("neutrino", neutrino, ("ambiguous", "known")),
    ):
        if value not in known:
            raise InputError(f"{name}={value!r}: {near_match(value, known)}")
    if generations not in (1, 2):
        raise InputError(f"generations={generations!r}: 1 (u and d) or 2 (c and s, too) are possible.")


@dataclass(frozen=True, eq=False)
class _Cube:
    """Map of the unit hypercube on the phase space, within the range that cuts leave.

    s has density 1/s^2, all other variables are flat; pT > p_min bounds s from below and |cosT| from above. An eighth
    dimension chooses the charge where there are two; the last eleven are the quantiles of what a detector does.
    """

    process: WZ
    cuts: Cuts
    monomials: FloatArray
    charge: Charge
    pt_min: float
    s_min: float
    s_max: float
    detector: Detector | None

    @classmethod
    def of(
        cls, process: WZ, cuts: Cuts, monomials: FloatArray, charge: Charge, detector: Detector | None = None
    ) -> _Cube:
        # Cuts on what is measured bound no true momentum.
        on_truth = Cuts() if detector else cuts
        pt_min, pt_max = on_truth.window("pt", 0.0, SQRT_S_GEV)
        threshold = math.hypot(process.amplitudes.m_w, pt_min) + math.hypot(process.electroweak.m_z, pt_min)
        low, high = on_truth.window("sqrt_s", threshold, SQRT_S_GEV)
        if not (pt_min < pt_max and low < high):
            raise InputError(f"wz: no phase space is left below {SQRT_S_GEV:.0f} GeV; loosen the cuts.")
        return cls(process, cuts, monomials, charge, pt_min, low**2, high**2, detector)

    @property
    def n_dim(self) -> int:
        return (7 if len(self.charges) == 1 else 8) + (_N_SMEARING if self.detector else 0)

    @property
    def charges(self) -> tuple[float, ...]:
        """Charges of the W."""
        return _CHARGES[self.charge]

    def phase_space(self, points: FloatArray) -> tuple[dict[str, FloatArray], FloatArray]:
        """True features and Jacobian d(sqrt_s, y, cosT, cos th_W, cos th_Z, phi_W, phi_Z)/d(points) of all charges."""
        u_s, u_y, u_theta, u_theta_w, u_theta_z, u_phi_w, u_phi_z = points.T[:7]
        inverse = 1.0 / self.s_min - u_s * (1.0 / self.s_min - 1.0 / self.s_max)
        sqrt_s = np.sqrt(1.0 / inverse)
        y_max = np.log(SQRT_S_GEV / sqrt_s)
        momentum = self.process.amplitudes.momentum(sqrt_s)
        # At threshold the momentum may round to 0; without a cut on pT the quotient is 0 there, too.
        lowest = self.pt_min / np.maximum(momentum, np.finfo(np.float64).tiny)
        cos_max = np.sqrt(np.maximum(1.0 - lowest**2, 0.0))
        cos_theta = cos_max * (2.0 * u_theta - 1.0)
        # Half a turn holds one of the two solutions for an ambiguous neutrino.
        phi_max = math.pi if self.process.neutrino == "known" else math.pi / 2.0
        charge = np.where(points.T[len(self.charges) + 5] < 0.5, self.charges[0], self.charges[-1])
        columns = (
            sqrt_s,
            momentum * np.sqrt(1.0 - cos_theta**2),
            y_max * (2.0 * u_y - 1.0),
            cos_theta,
            2.0 * u_theta_w - 1.0,
            2.0 * u_theta_z - 1.0,
            phi_max * (2.0 * u_phi_w - 1.0),
            math.pi * (2.0 * u_phi_z - 1.0),
            charge,
        )
        jacobian = sqrt_s**3 / 2.0 * (1.0 / self.s_min - 1.0 / self.s_max) * 2.0 * y_max * 2.0 * cos_max * 4.0
        jacobian *= 2.0 * phi_max * 2.0 * math.pi * len(self.charges)
        return features_of(dict(zip(FEATURE_NAMES, columns, strict=False))), jacobian

    def observed(self, features: dict[str, FloatArray], points: FloatArray) -> dict[str, FloatArray]:
        """Features as they are observed, out of the true ones."""
        if self.detector is None:
            return features
        momenta = np.moveaxis(_momenta(features, self.process.amplitudes, np.zeros(len(points)))[:, 4:], 1, 0)
        normals = standard_normals(points[:, -_N_SMEARING:])
        of_leptons = np.moveaxis(normals[:, :9].reshape(-1, 3, 3), 1, 0)
        seen, missing = measured(momenta[[0, 2, 3]], of_leptons, normals[:, 9:], self.detector)
        neutrino = reconstructed(seen, missing, self.process.amplitudes.m_w)
        return features_of_momenta(np.stack([seen[0], neutrino, seen[1], seen[2]]), features["charge"], "ambiguous")

    def __call__(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        features, jacobian = self.phase_space(points)
        possible = self.cuts.passes(self.observed(features, points))
        density = np.zeros(len(points))
        weights = self.process.differential_weights({name: values[possible] for name, values in features.items()})
        density[possible] = (weights @ self.monomials) * jacobian[possible]
        # Interference grows like s: the emphasis follows its square, the Fisher information of the tail.
        return density, features["sqrt_s"] ** 4

    def events(self, points: FloatArray) -> Events:
        features, _ = self.phase_space(points)
        return Events(self.observed(features, points), self.process.differential_weights(features))

    def particles(self, points: FloatArray, rng: np.random.Generator) -> Particles:
        features, _ = self.phase_space(points)
        beam, solution, generation = self._drawn(features, rng)
        features["phi_w"] = np.where(solution == 0, features["phi_w"], math.pi - features["phi_w"])
        m_w, m_z = self.process.amplitudes.m_w, self.process.electroweak.m_z
        momenta = _momenta(features, self.process.amplitudes, rng.uniform(-math.pi, math.pi, len(points)))
        plus, ahead = features["charge"] > 0.0, beam == 0
        up, down = 2 + 2 * generation, 1 + 2 * generation
        quark, antiquark = np.where(plus, up, down), -np.where(plus, down, up)
        # A W+ decays to a positron (-11) and a neutrino (12), a W- to their antiparticles.
        sign = np.where(plus, 1, -1)
        of_bosons = [sign * _W, np.full_like(sign, _Z), -sign * _ELECTRON, sign * (_ELECTRON + 1)]
        of_z = [np.full_like(sign, _MUON), np.full_like(sign, -_MUON)]
        colour = np.zeros((len(points), 8, 2), dtype=np.int64)
        colour[ahead, 0, 0] = colour[ahead, 1, 1] = colour[~ahead, 0, 1] = colour[~ahead, 1, 0] = 501
        beams = [np.where(ahead, quark, antiquark), np.where(ahead, antiquark, quark)]
        return Particles(
            pdg=np.stack([*beams, *of_bosons, *of_z], axis=1),
            status=(-1, -1, 2, 2, 1, 1, 1, 1),
            mothers=((0, 0), (0, 0), (1, 2), (1, 2), (3, 3), (3, 3), (4, 4), (4, 4)),
            colour=colour,
            momenta=momenta,
            mass=np.array([0.0, 0.0, m_w, m_z, 0.0, 0.0, 0.0, 0.0]),
        )

    def _drawn(
        self, features: dict[str, FloatArray], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Beam of the quark, solution for the neutrino and generation, in proportion to their shares."""
        luminosity = self.process.luminosities(features["sqrt_s"], features["y"], features["charge"])
        squared = self.process.contributions(features) @ self.monomials
        shares = luminosity[:, np.newaxis] * squared[:, :, np.newaxis]
        reached = np.cumsum(shares.reshape(-1, shares.shape[-1]), axis=0)
        chosen = (rng.random(reached.shape[1]) * reached[-1] >= reached[:-1]).sum(axis=0)
        beam, solution, generation = np.unravel_index(chosen, shares.shape[:3])
        return beam, solution, generation


def _momenta(features: dict[str, FloatArray], amplitudes: WZAmplitudes, azimuth: FloatArray) -> FloatArray:
    """Momenta in the laboratory of the partons, W, Z, lepton and neutrino, l- and l+, shape (n, 8, 4)."""
    sqrt_s, cos_theta = features["sqrt_s"], features["cos_theta"]
    sin_theta, zero = np.sqrt(1.0 - cos_theta**2), np.zeros_like(sqrt_s)
    momentum = amplitudes.momentum(sqrt_s)
    result = np.zeros((len(sqrt_s), 8, 4))
    result[:, :2, 0] = 0.5 * sqrt_s[:, np.newaxis]
    result[:, :2, 3] = 0.5 * np.stack([sqrt_s, -sqrt_s], axis=-1)
    across = np.stack([cos_theta, zero, -sin_theta], axis=-1)
    for boson, mass, side, name in ((2, amplitudes.m_w, 1.0, "w"), (3, amplitudes.electroweak.m_z, -1.0, "z")):
        flight = side * np.stack([sin_theta, zero, cos_theta], axis=-1)
        normal = np.stack([zero, zero + side, zero], axis=-1)
        energy = np.hypot(momentum, mass)
        cosine, phi = features[f"cos_theta_{name}"], features[f"phi_{name}"]
        sine = 0.5 * mass * np.sqrt(1.0 - cosine**2)
        away = (sine * np.cos(phi))[:, np.newaxis] * across + (sine * np.sin(phi))[:, np.newaxis] * normal
        first = 2 * boson
        for lepton, sign in ((first, 1.0), (first + 1, -1.0)):
            along = 0.5 * (momentum + sign * energy * cosine)
            result[:, lepton, 0] = 0.5 * (energy + sign * momentum * cosine)
            result[:, lepton, 1:] = sign * away + along[:, np.newaxis] * flight
        result[:, boson] = result[:, first] + result[:, first + 1]
    turned = (result[..., 1] + 1j * result[..., 2]) * np.exp(1j * azimuth)[:, np.newaxis]
    result[..., 1], result[..., 2] = turned.real, turned.imag
    cosh, sinh = np.cosh(features["y"])[:, np.newaxis], np.sinh(features["y"])[:, np.newaxis]
    energy, along = result[..., 0].copy(), result[..., 3].copy()
    result[..., 0], result[..., 3] = cosh * energy + sinh * along, cosh * along + sinh * energy
    return result


# ---------------------------------------------------------------------- events of files
def features_of_particles(events: LHEEvents, *, neutrino: Neutrino = "ambiguous") -> tuple[FloatArray, tuple[str, ...]]:
    """Features of events with one neutrino and three charged leptons, for `bit.read_lhe`.

    Parameters
    ----------
    events : LHEEvents
        With the leptons W -> l nu and Z -> l l as outgoing particles, in any order.
    neutrino : {"ambiguous", "known"}, default="ambiguous"
        As in `simulate`: "ambiguous" gives the solution phi_W between -pi/2 and pi/2, "known" the one of the file;
        use ``functools.partial`` to read a file with it.

    Returns
    -------
    features : ndarray of float64, shape (n_events, 17)
        `FEATURES`.
    names : tuple of str
        Their names.

    Raises
    ------
    InputError
        If an event has other outgoing particles, with how many do; or for an unknown `neutrino`.

    Notes
    -----
    Where all three charged leptons have one flavour, the Z is the pair with the mass closer to mZ. Angles are those in
    the rest frame of all leptons with respect to the +z axis.
    """
    if neutrino not in ("ambiguous", "known"):
        raise InputError(f"neutrino={neutrino!r}: {near_match(neutrino, ('ambiguous', 'known'))}")
    leptons, charge = _leptons(events)
    features = features_of_momenta(leptons, charge, neutrino)
    return np.stack(list(features.values()), axis=-1), FEATURE_NAMES


def features_of_momenta(leptons: FloatArray, charge: FloatArray, neutrino: Neutrino) -> dict[str, FloatArray]:
    """Features of momenta that need not fit together: the bosons are sums of leptons, of any mass.

    Parameters
    ----------
    leptons : ndarray of float64, shape (4, n, 4)
        (E, px, py, pz) in GeV in the laboratory of the lepton and neutrino of the W, l- and l+ of the Z.
    charge : ndarray of float64, shape (n,)
        Of the W, +1 or -1.
    neutrino : {"ambiguous", "known"}
        As for `features_of_particles`.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        As in `FEATURES`, in the rest frame of all leptons.
    """
    total = leptons.sum(axis=0)
    sqrt_s = np.sqrt(dot(total, total))
    energy = dot(leptons, total) / sqrt_s
    shift = (leptons[..., 0] + energy) / (total[:, 0] + sqrt_s)
    at_rest = np.concatenate(
        [energy[..., np.newaxis], leptons[..., 1:] - shift[..., np.newaxis] * total[:, 1:]], axis=-1
    )
    cos_theta_w, phi_w = _angles(at_rest[0], at_rest[1])
    cos_theta_z, phi_z = _angles(at_rest[2], at_rest[3])
    if neutrino == "ambiguous":
        phi_w = np.arctan2(np.sin(phi_w), np.abs(np.cos(phi_w)))
    w_boson = at_rest[0] + at_rest[1]
    pt = np.hypot(w_boson[:, 1], w_boson[:, 2])
    cos_theta = w_boson[:, 3] / np.hypot(pt, w_boson[:, 3])
    y = np.arctanh(total[:, 3] / total[:, 0])
    columns = (sqrt_s, pt, y, cos_theta, cos_theta_w, cos_theta_z, phi_w, phi_z, charge)
    return features_of(dict(zip(FEATURE_NAMES, columns, strict=False)))


def weights_of_particles(events: LHEEvents, *, electroweak: Electroweak | None = None) -> FloatArray:
    """Weight polynomials of |M|^2 for the momenta and quarks of events, helicity-summed.

    Parameters
    ----------
    events : LHEEvents
        As for `features_of_particles`, with a quark and an antiquark as incoming particles.
    electroweak : Electroweak, optional
        Couplings, mZ and sin2; the mass of the W is mZ c_w.

    Returns
    -------
    ndarray of float64, shape (n_events, 6)
        As `WZAmplitudes.squared_amplitudes`. The bosons may be off-shell: their momenta are those of the leptons, their
        propagators are left out.

    Raises
    ------
    InputError
        If an event has other outgoing or incoming particles, with how many do.
    """
    process = WZAmplitudes(electroweak or Electroweak())
    leptons, charge = _leptons(events)
    lepton, neutrino, minus, plus = leptons
    partons, pdg = _particles(events, -1, 2)
    first = pdg[:, 0] > 0
    quark, antiquark = np.where(first, pdg.T, pdg.T[::-1])
    # u-type quark and d-type antiquark for a W+, the other way around for a W-.
    possible = (quark > 0) & (antiquark < 0) & (quark <= _HEAVIEST_QUARK) & (antiquark >= -_HEAVIEST_QUARK)
    possible &= (quark % 2 == (charge < 0.0)) & (antiquark % 2 == (charge > 0.0))
    _require(possible, "a quark and an antiquark whose charges add up to that of the W as incoming particles")
    k = np.where(first[:, np.newaxis], partons[:, 0], partons[:, 1])
    anti = np.where(first[:, np.newaxis], partons[:, 1], partons[:, 0])
    p_w, p_z = lepton + neutrino, minus + plus
    positive = charge[:, np.newaxis] > 0.0
    # The fermion of the decay is the neutrino of a W+ and the lepton of a W-.
    of_w = current(np.where(positive, neutrino, lepton), np.where(positive, lepton, neutrino), -1)
    left, right = process.lepton_charges
    currents = left * current(minus, plus, -1), right * current(minus, plus, 1)
    amplitudes = [process.from_momenta((k, anti), (p_w, p_z), (of_w, of_z), charge) for of_z in currents]
    scale = (3.0 / (8.0 * math.pi)) ** 2 / (left**2 + right**2) / (dot(p_w, p_w) * dot(p_z, p_z))
    weights: FloatArray = weights_from_amplitudes(np.stack(amplitudes)) * scale[:, np.newaxis]
    return weights


def _leptons(events: LHEEvents) -> tuple[FloatArray, FloatArray]:
    """Momenta of the lepton and neutrino of the W, l- and l+ of the Z, shape (4, n, 4), and the charge of the W."""
    momenta, pdg = _particles(events, 1, 4)
    distances = []
    for order in _ORDERS:
        lepton, neutrino, minus, plus = pdg[:, order].T
        possible = np.isin(np.abs(neutrino), _NEUTRINOS) & (lepton == -np.sign(neutrino) * (np.abs(neutrino) - 1))
        possible &= np.isin(minus, _CHARGED) & (plus == -minus)
        pair = momenta[:, order[2]] + momenta[:, order[3]]
        distances.append(np.where(possible, np.abs(np.sqrt(np.abs(dot(pair, pair))) - Electroweak().m_z), np.inf))
    _require(np.isfinite(np.min(distances, axis=0)), "W -> l nu and Z -> l l as outgoing particles")
    chosen = np.array(_ORDERS)[np.argmin(distances, axis=0)]
    ordered = np.take_along_axis(momenta, chosen[..., np.newaxis], axis=1)
    identity = np.take_along_axis(pdg, chosen, axis=1)
    return np.moveaxis(ordered, 1, 0), np.sign(identity[:, 1]).astype(np.float64)


def _particles(events: LHEEvents, status: int, count: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Momenta, shape (n, count, 4), and identities of the particles of one status."""
    chosen = events.status == status
    event = np.repeat(np.arange(events.n_events), np.diff(events.offsets))
    found = np.bincount(event[chosen], minlength=events.n_events)
    _require(found == count, f"{count} particles with status {status}")
    return events.momenta[chosen].reshape(-1, count, 4), events.pdg[chosen].reshape(-1, count)


def _require(good: npt.NDArray[np.bool_], what: str) -> None:
    bad = np.flatnonzero(~good)
    if len(bad):
        raise InputError(
            f"{len(bad)} of {len(good)} events do not have {what}, the first is event {bad[0]} (from 0): they are not "
            "pp -> W Z -> l nu l l; leave them out."
        )


def _angles(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Polar angle (cosine) and azimuth of the first of two decay products, see `FEATURES`."""
    flight, apart = (first + second)[:, 1:], (first - second)[:, 1:]
    size = np.sqrt((flight**2).sum(axis=-1))
    x, y, z = (flight / size[:, np.newaxis]).T
    towards_x = z * (x * apart[:, 0] + y * apart[:, 1]) - (x**2 + y**2) * apart[:, 2]
    towards_y = x * apart[:, 1] - y * apart[:, 0]
    return (first[:, 0] - second[:, 0]) / size, np.arctan2(towards_y, towards_x)
