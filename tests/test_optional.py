import importlib
import json

import pytest

from bit.errors import MissingPackageError
from bit.optional import require


def test_installed_package_is_returned():
    assert require("json", for_="this test") is json
    assert require("xml.etree", for_="this test") is importlib.import_module("xml.etree")


def test_missing_package_says_how_to_get_it():
    with pytest.raises(MissingPackageError, match="bit fly needs the package 'no_such_package'") as error:
        require("no_such_package", for_="bit fly")
    assert "pip install no_such_package" in str(error.value)
    assert isinstance(error.value, ImportError)


def test_missing_package_of_an_extra(monkeypatch):
    # None in sys.modules is Python's own way to say that a package cannot be imported
    monkeypatch.setitem(__import__("sys").modules, "vegas", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'boosted-information-trees\[simulate\]'"):
        require("vegas", for_="bit simulate")


def test_a_broken_package_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import its_missing_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="its_missing_dependency") as error:
        require("broken_package", for_="this test")
    assert not isinstance(error.value, MissingPackageError)
