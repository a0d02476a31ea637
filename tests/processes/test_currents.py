import numpy as np
import pytest

from bit.processes.currents import current, dot, levi_civita, spinor

# Products of four momenta of 100 GeV lose a few digits to cancellation.
RELATIVE = 1e-11


def massless(rng, n):
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    energy = rng.uniform(5.0, 100.0, (n, 1))
    return np.concatenate([energy, energy * direction], axis=1)


def test_levi_civita_is_the_determinant(rng):
    rows = rng.standard_normal((4, 50, 4)) + 1j * rng.standard_normal((4, 50, 4))
    np.testing.assert_allclose(levi_civita(*rows), np.linalg.det(np.moveaxis(rows, 0, 1)), rtol=1e-12, atol=1e-12)
    unit = np.eye(4)
    assert levi_civita(*unit) == 1.0


@pytest.mark.parametrize("chirality", [-1, 1])
def test_spinors_complete(rng, chirality):
    # chi chi^dagger = p0 + h p.sigma
    p = massless(rng, 40)
    chi = spinor(p, chirality)
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    expected = p[:, 0, None, None] * np.eye(2) + chirality * np.einsum("nk,kij->nij", p[:, 1:], pauli)
    np.testing.assert_allclose(np.einsum("ni,nj->nij", chi, chi.conj()), expected, atol=1e-12)


@pytest.mark.parametrize("chirality", [-1, 1])
@pytest.mark.parametrize("tilt", [0.0, 1e-160, 1e-9, 1e-5])
def test_spinor_along_the_beam(chirality, tilt):
    p = np.array([[50.0, 50.0 * tilt, 0.0, -50.0]])
    chi = spinor(p, chirality)
    assert np.isfinite(chi).all()
    # Norm chi^dagger chi = 2E; the momentum is off its mass shell by tilt^2/2.
    assert float((np.abs(chi) ** 2).sum()) == pytest.approx(100.0, rel=1e-9)


@pytest.mark.parametrize("chirality", [-1, 1])
def test_currents_are_conserved(rng, chirality):
    a, b = massless(rng, 100), massless(rng, 100)
    j = current(a, b, chirality)
    size = np.abs(j).max() * 100.0
    assert np.abs(dot(j, a - b)).max() < 1e-13 * size
    assert np.abs(dot(current(a, b, chirality), a)).max() < 1e-13 * size
    np.testing.assert_allclose(current(b, a, chirality), j.conj(), atol=1e-12)


@pytest.mark.parametrize("first", [-1, 1])
@pytest.mark.parametrize("second", [-1, 1])
def test_scattering_identities(rng, first, second):
    k1, k2, p1, p2 = (massless(rng, 200) for _ in range(4))
    j1, j2 = current(p1, k1, first), current(p2, k2, second)
    contact = dot(j1, j2)
    odd = levi_civita(k1 - p1, j1, k2 - p2, j2)
    if first == second:
        left, right = dot(k1, k2), dot(p1, p2)
    else:
        left, right = dot(k1, p2), dot(p1, k2)
    np.testing.assert_allclose(np.abs(contact) ** 2, 16 * left * right, rtol=RELATIVE, atol=1e-6)
    expected = -8 * (left + right) * levi_civita(k1, k2, p1, p2)
    found = (contact.conj() * odd).real
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("first", [-1, 1])
@pytest.mark.parametrize("second", [-1, 1])
def test_decay_identities(rng, first, second):
    a, a_bar, b, b_bar = (massless(rng, 200) for _ in range(4))
    j1, j2 = current(a, a_bar, first), current(b, b_bar, second)
    contact = dot(j1, j2)
    odd = levi_civita(a + a_bar, j1, b + b_bar, j2)
    tensor = levi_civita(a_bar, b_bar, a, b)
    if first == second:
        left, right, sign = dot(a_bar, b_bar), dot(a, b), -1
    else:
        left, right, sign = dot(a_bar, b), dot(a, b_bar), 1
    np.testing.assert_allclose(np.abs(contact) ** 2, 16 * left * right, rtol=RELATIVE, atol=1e-6)
    expected = sign * 8 * (left + right) * tensor
    found = (contact.conj() * odd).real
    np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=1e-11 * np.abs(expected).max())
