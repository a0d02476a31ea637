"""Every notebook runs from top to bottom, quickly at a small size and slowly at its own; each ends with asserts."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def execute(path, timeout):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.mark.filterwarnings("default")  # of the machinery that runs notebooks
@every_notebook
def test_notebook(path, monkeypatch):
    monkeypatch.setenv("BIT_NOTEBOOK_TREES", "60")
    monkeypatch.setenv("BIT_NOTEBOOK_EVENTS", "10000")
    execute(path, timeout=300)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@every_notebook
def test_notebook_at_full_size(path, monkeypatch):
    for name in ("BIT_NOTEBOOK_TREES", "BIT_NOTEBOOK_EVENTS"):
        monkeypatch.delenv(name, raising=False)
    execute(path, timeout=1200)


@every_notebook
def test_file_holds_what_was_written_and_nothing_else(path):
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook["cells"])
    assert all(not cell["metadata"] for cell in notebook["cells"])
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert notebook["cells"][-1]["cell_type"] == "code"
    assert re.search(r"^\s*assert ", "".join(notebook["cells"][-1]["source"]), re.MULTILINE)
    assert text == json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_names():
    numbers = [path.name[:2] for path in NOTEBOOKS if re.match(r"\d\d_", path.name)]
    assert numbers
    assert len(set(numbers)) == len(numbers)
    for path in NOTEBOOKS:
        linked = re.findall(r"\]\((\w+\.ipynb)\)", path.read_text(encoding="utf-8"))
        assert all((FOLDER / name).is_file() for name in linked), f"{path.name} links {linked}"
