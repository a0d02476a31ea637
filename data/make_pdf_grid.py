"""Make the compact parton-density grid that the package ships, from an LHAPDF file.

    python data/make_pdf_grid.py NNPDF31_lo_as_0118_0000.dat.gz

The source is member 0 (the central one) of the set NNPDF31_lo_as_0118: parton densities NNPDF3.1 at
leading order with alpha_s(mZ) = 0.118 by the NNPDF Collaboration, arXiv:1706.00428, in the text format
``lhagrid1`` of LHAPDF 6 (arXiv:1412.7420). Of its last subgrid (above the bottom threshold) the knots
with 1e-6 <= x <= 1 and 10 GeV <= Q <= 13 TeV are kept, with one knot more on each side, for all eleven
partons, as float32. No value is interpolated: the grid holds the numbers of the source, rounded.
"""

from __future__ import annotations

import argparse
import gzip
from pathlib import Path

import numpy as np

from bit.files import existing_file, replacing

ORIGIN = "NNPDF31_lo_as_0118 member 0 (NNPDF Collaboration, arXiv:1706.00428), LHAPDF lhagrid1 (arXiv:1412.7420)"
X_RANGE = (1e-6, 1.0)
Q_RANGE_GEV = (10.0, 13000.0)
SHIPPED = Path(__file__).resolve().parent.parent / "bit" / "processes" / "pdfs" / "nnpdf31_lo_as_0118.npz"


def read_last_subgrid(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Knots x, knots Q in GeV, PDG identities and x f(x, Q) with axes (x, Q, parton)."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    blocks = [block.strip() for block in text.split("\n---")]
    header, last = blocks[0], [block for block in blocks[1:] if block][-1]
    if "lhagrid1" not in header:
        raise SystemExit(f"{path} is not an LHAPDF file of the format lhagrid1.")
    lines = last.splitlines()
    x, q = (np.array(line.split(), dtype=float) for line in lines[:2])
    ids = np.array(lines[2].split(), dtype=np.int64)
    values = np.array(" ".join(lines[3:]).split(), dtype=float)
    return x, q, ids, values.reshape(len(x), len(q), len(ids))


def covering(knots: np.ndarray, low: float, high: float) -> slice:
    """Smallest range of knots that covers [low, high]."""
    first = max(int(np.searchsorted(knots, low, side="right")) - 1, 0)
    return slice(first, int(np.searchsorted(knots, high, side="left")) + 1)


def main() -> None:
    """Read the source, keep the range that LHC processes need, write the grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="LHAPDF lhagrid1 file of one member, .dat or .dat.gz")
    parser.add_argument("-o", "--output", default=str(SHIPPED), help="file to write (default: the one in the package)")
    arguments = parser.parse_args()
    x, q, ids, values = read_last_subgrid(existing_file(arguments.source))
    x_kept, q_kept = covering(x, *X_RANGE), covering(q, *Q_RANGE_GEV)
    with replacing(arguments.output) as temporary:
        np.savez_compressed(
            temporary,
            x=x[x_kept],
            q=q[q_kept],
            ids=ids,
            values=values[x_kept, q_kept].astype(np.float32),
            origin=np.array(ORIGIN),
        )


if __name__ == "__main__":
    main()
