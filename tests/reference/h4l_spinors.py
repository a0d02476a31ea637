"""h -> 4 leptons from currents, helicity by helicity: the slow twin of `bit.processes.h4l.H4L.amplitudes`."""

from itertools import product

import numpy as np

from bit.processes.currents import current, dot
from bit.processes.hvv import (
    Electroweak,
    NeutralLine,
    neutral_tensor_amplitude,
    propagator,
    sm_amplitude,
    structures,
    tensor_couplings,
)

UNITS = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
ISOSPIN = {-1: -0.5, 1: 0.0}
POINTS = np.array(
    [
        [
            [48.4372431282, 42.4502944631, 0, 23.3267876455],
            [42.6379367279, -42.4502944631, 0, -3.9957663113],
            [13.1462058051, 9.8138522102, 8.2660936842, -2.8605466383],
            [20.8786143388, -9.8138522102, -8.2660936842, -16.4704746959],
        ],
        [
            [30.8556971392, 26.9443871706, 0, 15.0357589082],
            [39.6919047793, -26.9443871706, 0, 29.1452792919],
            [40.5305105008, 5.8060303542, -11.4074542088, -38.4562385246],
            [14.0218875807, -5.8060303542, 11.4074542088, -5.7247996756],
        ],
    ]
).transpose(1, 0, 2)
"""Two reference events: momenta (E, px, py, pz) of l1-, l1+, l2- and l2+ in GeV, shape (4, 2, 4)."""


def one_pairing(minus1, plus1, minus2, plus2, chirality1, chirality2, ew):
    """M_0 and its derivatives for one pairing and chirality of the currents, shape (7, n)."""
    pairs = ((minus1, plus1, chirality1), (minus2, plus2, chirality2))
    q = [minus + plus for minus, plus, _ in pairs]
    currents = [current(*pair) for pair in pairs]
    lines = [
        NeutralLine(
            z=ew.z_charge(ISOSPIN[pair[2]], -1.0) * propagator(dot(k, k), ew.m_z, ew.gamma_z), photon=-ew.e / dot(k, k)
        )
        for k, pair in zip(q, pairs, strict=True)
    ]
    found = structures(q[0], currents[0], q[1], currents[1])
    tensors = [
        neutral_tensor_amplitude(kind, tensor_couplings(*unit, ew), *lines, ew)
        for kind in (found.even, found.odd)
        for unit in UNITS
    ]
    return np.stack([sm_amplitude(found.sm, ew.m_z, lines[0].z * lines[1].z, ew), *tensors])


def amplitudes(leptons, *, one_flavour, electroweak=None):
    """Amplitudes for each set of helicities of l1-, l1+, l2- and l2+, shape (n_helicities, 7, n)."""
    ew = electroweak or Electroweak()
    minus1, plus1, minus2, plus2 = leptons
    found = {}
    for h1, h2 in product((-1, 1), repeat=2):
        # A massless antilepton has the helicity opposite to that of the lepton of its current.
        helicities = (h1, -h1, h2, -h2)
        found[helicities] = found.get(helicities, 0.0) + one_pairing(minus1, plus1, minus2, plus2, h1, h2, ew)
        if one_flavour:
            helicities = (h1, -h2, h2, -h1)
            found[helicities] = found.get(helicities, 0.0) - one_pairing(minus1, plus2, minus2, plus1, h1, h2, ew)
    result = np.stack(list(found.values()))
    return result / 2 if one_flavour else result
