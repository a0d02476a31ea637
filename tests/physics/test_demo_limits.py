"""The demonstration at full size on the shipped sample: the learned observable is nearly as good as the truth."""

from pathlib import Path

import pytest

from bit.analysis import divide, read_events, results, train
from bit.demo import demo_config

SAMPLE = Path(__file__).parents[2] / "data" / "zh.root"


@pytest.fixture(scope="module")
def result():
    config = demo_config(str(SAMPLE))
    model = train(config, divide(config, read_events(config)), verbose=False)
    return results(config, model.forest_)


# Bins are chosen and filled on the same events for all observables, so that statistical fluctuations of the
# 15 000 test events cancel in the ratio of widths up to about 1 %.
@pytest.mark.parametrize(("param", "most"), [("cHq3", 1.03), ("cHW", 1.05), ("cHWtil", 1.10)])
def test_learned_interval_is_close_to_that_of_the_true_score(result, param, most):
    learned, true = result.interval(param, "learned"), result.interval(param, "true")
    ratio = (learned.upper - learned.lower) / (true.upper - true.lower)
    assert 0.98 < ratio < most


def test_learned_interval_beats_every_feature(result):
    learned, best = result.interval("cHWtil", "learned"), result.interval("cHWtil", "best")
    assert learned.upper < 0.7 * best.upper
