"""The drawing of one tree: what stands in its boxes and in its table."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from sklearn.exceptions import NotFittedError

import bit
from bit import plotting
from bit.errors import InputError
from bit.trees.forest import Forest, TreeGroup


def group(outputs, sums):
    """Root x < 213.4567, on its right y < -0.00012; three leaves with the given sums of all weights."""
    outputs, leaves = np.array(outputs), np.array(sums, dtype=float)
    lower = leaves[1] + leaves[2]
    return TreeGroup(
        outputs=outputs,
        feature=np.array([0, -1, 1, -1, -1], dtype=np.int32),
        threshold=np.array([213.4567, 0, -0.00012, 0, 0], dtype=np.float32),
        left=np.array([1, -1, 3, -1, -1], dtype=np.int32),
        right=np.array([2, -1, 4, -1, -1], dtype=np.int32),
        value=np.zeros((5, len(outputs))),
        tree_offset=np.array([0, 5]),
        count=np.array([12_000, 10_000, 2_000, 1_500, 500]),
        sum_w=np.stack([leaves[0] + lower, leaves[0], lower, leaves[1], leaves[2]]),
        sum_w0_squared=np.ones(5),
        gain=np.array([3.0, 0.0, 1.0, 0.0, 0.0]),
    )


def forest(**changes):
    basis = bit.PolynomialBasis(["cHW", "cHq3"], reference=changes.pop("reference", None))
    # Leaves with w_0 = 8, 1.5, 0.5 and R = (1, -2, 4, 0, 6), (0.5, 0, 0, 0, 0), (-0.25, 1, 0, 0, 0).
    sums = [[8, 8, -16, 32, 0, 48], [1.5, 0.75, 0, 0, 0, 0], [0.5, -0.125, 0.5, 0, 0, 0]]
    options = {"groups": (group(range(5), sums),), "base": np.zeros(5), "output_terms": basis.terms[1:], "basis": basis}
    return Forest(**options | {"feature_names": ("x", "pt_y"), "units": ("GeV", "")} | changes)


def texts(fig):
    return [text.get_text() for text in fig.axes[0].texts]


def cells(fig):
    return [patch for patch in fig.axes[0].patches if isinstance(patch, Rectangle)]


def test_splits_and_leaves(tmp_path):
    fig = plotting.tree(forest())
    found = texts(fig)
    assert "x $<$ $213.5$ GeV" in found
    assert r"pt_y $<$ $-1.2\times10^{-4}$" in found
    assert {"75.0 %", "25.0 %", "yes", "no", "tree 0"} <= set(found)
    columns = [found.index(title) for title in ("events", r"$\Sigma w_0$ [%]", "$R_{c_{HW}}$ [TeV$^{2}$]")]
    rows = [found[first + 1 : first + 4] for first in columns]
    assert rows == [["10\u2009000", "1\u2009500", "500"], ["80.0", "15.0", "5.0"], ["1.00", "0.500", "\u22120.250"]]
    assert len(cells(fig)) == 6  # three leaves, two linear terms
    # The largest size of a column has the end of the scale, 0 is white.
    colours = [patch.get_facecolor()[:3] for patch in cells(fig)]
    assert colours[0] == pytest.approx(to_rgb("#D55E00"))
    assert colours[3] == pytest.approx(to_rgb("#0072B2"))
    assert colours[4] == pytest.approx((1, 1, 1), abs=0.01)
    plotting.save(fig, tmp_path / "a.png", dpi=50)


def test_leaves_are_beside_their_branches():
    fig = plotting.tree(forest())
    panel = fig.axes[0]
    height = {text.get_text(): text.get_position()[1] for text in panel.texts}
    ends = sorted((line.get_xdata()[-1], line.get_ydata()[-1]) for line in panel.lines)
    assert [y for _, y in ends[1:]] == [height[n] for n in ("10\u2009000", "1\u2009500", "500")]
    assert ends[0][1] == height[r"pt_y $<$ $-1.2\times10^{-4}$"]
    assert ends[1][0] == ends[2][0] == ends[3][0]
    # Lines are as wide as the share of w_0: 0.8 points and 5 for everything.
    assert sorted(line.get_linewidth() for line in panel.lines) == pytest.approx([1.05, 1.55, 1.8, 4.8])


def test_polynomial():
    found = texts(plotting.tree(forest(), polynomial=True))
    # The half of R_aa is multiplied out; terms that are 0 are left out.
    assert r"$1 + 1\,c_{HW} - 2\,c_{Hq}^{(3)} + 2\,c_{HW}^2 + 3\,(c_{Hq}^{(3)})^2$" in found
    assert r"$1 + 0.5\,c_{HW}$" in found
    moved = texts(plotting.tree(forest(reference=[0.5, 0.0]), polynomial=True, terms=["cHW", ("cHW", "cHW")]))
    assert r"$1 + 1\,\Delta c_{HW} + 2\,(\Delta c_{HW})^2$" in moved


def test_terms_and_colours():
    fig = plotting.tree(forest(), terms=[("cHW", "cHW"), "cHq3"])
    assert [text for text in texts(fig) if text.startswith("$R_")] == [
        r"$R_{c_{HW}\,c_{HW}}$ [TeV$^{4}$]",
        "$R_{c_{Hq}^{(3)}}$ [TeV$^{2}$]",
    ]
    assert fig.axes[1].get_xlabel() == "value / largest size in its column"
    one = plotting.tree(forest(), terms=["cHq3"])
    assert one.axes[1].get_xlabel() == "$R_{c_{Hq}^{(3)}}$ [TeV$^{2}$]"
    assert one.axes[1].get_xlim() == (-2.0, 2.0)


def test_a_tree_cut_at_a_depth():
    fig = plotting.tree(forest(), max_depth=1)
    found = texts(fig)
    assert "… 2 leaves" in found
    assert "75.0 %" in found  # of the whole tree's gain
    first = found.index("events")
    assert found[first + 1 : first + 3] == ["10\u2009000", "2\u2009000"]
    first = found.index("$R_{c_{HW}}$ [TeV$^{2}$]")
    assert found[first + 1 : first + 3] == ["1.00", "0.312"]  # (0.75 - 0.125) / 2
    assert len(cells(plotting.tree(forest(), max_depth=0))) == 2


def test_labels_of_features():
    assert r"$p_T$ $<$ $-1.2\times10^{-4}$" in texts(plotting.tree(forest(), labels={"pt_y": "p_T"}))
    assert r"$\hat{s}$ $<$ $213.5$ GeV" in texts(plotting.tree(forest(latex=(r"\hat{s}", "pt_y"))))


def test_groups_of_their_own_outputs_and_leaves_without_nominal_weight(tmp_path):
    first = group([1], [[8, 8], [1, 1], [1, 1]])
    second = group([0], [[3, 3], [2, -4], [-1, 1]])
    fig = plotting.tree(forest(groups=(first, second)), group=1)
    found = texts(fig)
    start = found.index("$R_{c_{HW}}$ [TeV$^{2}$]")
    assert found[start + 1 : start + 4] == ["1.00", "\u22122.00", "\u2013"]
    plotting.save(fig, tmp_path / "a.png", dpi=50)
    found = texts(plotting.tree(forest(groups=(first, second)), group=1, polynomial=True))
    start = found.index(r"$R(\theta)$")
    assert found[start + 1 : start + 4] == [r"$1 + 1\,c_{HW}$", r"$1 - 2\,c_{HW}$", "\u2013"]


def test_lopsided_trees_of_a_model_and_trees_without_splits():
    rng = np.random.default_rng(1)
    x = np.sort(rng.random((2000, 1)), axis=0)
    weights = np.column_stack([np.ones(2000), np.exp(8 * x[:, 0])])
    events = bit.EventTable(x, weights, bit.PolynomialBasis(["a"], 1), feature_names=("x",), units=("TeV",))
    options = {"max_depth": None, "max_leaf_nodes": 12, "min_samples_leaf": 2, "n_jobs": 1}
    model = bit.BIT(n_estimators=1, **options).fit(events)
    fig = plotting.tree(model)
    assert len(cells(fig)) == 12
    assert not boxes_that_overlap(fig)
    assert not boxes_that_overlap(plotting.tree(model, polynomial=True, labels={"x": r"\sqrt{\hat{s}}"}))
    flat = bit.BIT(n_estimators=1, min_gain=1e9, **options).fit(events)
    assert len(cells(plotting.tree(flat))) == 1


def boxes_that_overlap(fig):
    """Pairs of texts that cover each other, with the frames around them."""
    renderer = FigureCanvasAgg(fig).get_renderer()
    fig.draw(renderer)
    boxes = [(text.get_bbox_patch() or text).get_window_extent(renderer) for text in fig.axes[0].texts]
    return [(i, j) for i, box in enumerate(boxes) for j in range(i) if box.overlaps(boxes[j])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": 1}, "1 trees"),
        ({"number": -1}, "counted from 0"),
        ({"group": 1}, "groups 0 to 0"),
        ({"max_depth": -1}, "at least 0"),
        ({"terms": ["cHB"]}, "do not learn"),
        ({"terms": []}, "empty"),
        ({"labels": {"z": "z"}}, "unknown feature 'z'"),
    ],
)
def test_tree_refuses(options, message):
    with pytest.raises(InputError, match=message):
        plotting.tree(forest(), **options)


def test_a_model_without_trees_is_refused():
    with pytest.raises(NotFittedError):
        plotting.tree(bit.BIT())


def test_a_model_of_plain_arrays_has_no_polynomial():
    plain = forest(basis=None)
    assert "$R_{c_{HW}}$" in texts(plotting.tree(plain))
    with pytest.raises(InputError, match="no polynomial"):
        plotting.tree(plain, polynomial=True)
