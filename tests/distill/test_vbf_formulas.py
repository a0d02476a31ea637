"""The score of Higgs production in vector-boson fusion, arXiv:2109.10414, Sec. 4.2: ours beside its Eq. 39."""

import numpy as np
import pytest

from bit import TrueScore
from bit.distill import distill, refit
from bit.expression import Expression
from bit.processes import vbf

FEATURES = ("x1", "x2", "dphi_jj", "deta_jj")


@pytest.mark.slow
def test_front_is_below_the_published_formula():
    table = vbf.simulate(200_000, seed=1, cuts="P", show_progress=False).table
    score = TrueScore("cHWtil", odd=True)
    eq_39 = Expression.parse("x1*(x2 + 0.24)*(1.1 - 0.1*deta_jj)*sin(dphi_jj + 0.01)", FEATURES)
    published = refit(eq_39, table, score).mse
    front = distill(score, table, operators=("add", "sub", "mul", "sin"), features=FEATURES, backend="operon", n_jobs=2)
    mse, complexity = front.column("mse") / published, front.complexity
    # The scatter of these ratios over five seeds is a few per cent.
    assert mse[complexity <= 10].min() <= 1.75
    assert mse[complexity <= 16].min() <= 1.05
    assert mse[complexity <= 22].min() <= 0.92
    assert np.isfinite(mse).all()
