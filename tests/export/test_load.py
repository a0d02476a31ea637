"""What `bit.load` costs."""

import subprocess
import sys

import numpy as np
import pytest

import bit
from bit.errors import FileFormatError


def test_forests_are_read_without_scikit_learn(tmp_path, rng):
    path = tmp_path / "model.json"
    bit.BIT(n_estimators=2, n_jobs=1).fit(rng.normal(size=(200, 1)), np.arange(200.0)).export(path)
    program = f"import sys, bit; print(bit.load({str(path)!r}).n_trees, 'sklearn' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == "2 False\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"kind": "expression", "format": "bit-expression/1", "sha256": "0", "tree": NaN}',
            "the checksum does not fit",
        ),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_strange_json_is_refused(tmp_path, text, message):
    path = tmp_path / "strange.json"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        bit.load(path)
