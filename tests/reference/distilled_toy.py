"""A small problem of which the formula is known: the score 1.5 x sin(z), odd under z -> -z."""

import numpy as np

from bit import CPParity, EventTable, PolynomialBasis

PARITY = CPParity(flip=("z",), odd_params=("c",))
QUICK = {
    "backend": "operon",
    "operators": ("add", "sub", "mul", "sin"),
    "options": {"max_evaluations": 4000, "population_size": 200},
    "n_points": 400,
    "n_restarts": 2,
    "n_extensions": 1,
    "n_jobs": 2,
    "max_complexity": 10,
}


def toy(n_events, seed, noise=0.0):
    rng = np.random.default_rng(seed)
    features = rng.uniform(-2.0, 2.0, (n_events, 3))
    score = 1.5 * features[:, 0] * np.sin(features[:, 2]) + noise * rng.standard_normal(n_events)
    nominal = rng.uniform(0.5, 1.5, n_events)
    weights = np.stack([nominal, nominal * score], axis=-1)
    return EventTable(features, weights, PolynomialBasis(["c"], order=1), feature_names=("x", "y", "z"))
