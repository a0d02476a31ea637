import pytest

from bit.errors import BitError, BitWarning, FileFormatError, InputError, MissingPackageError, near_match


def test_kinds_of_errors():
    assert issubclass(InputError, ValueError)
    assert issubclass(FileFormatError, ValueError)
    assert issubclass(MissingPackageError, ImportError)
    assert all(issubclass(kind, BitError) for kind in (InputError, FileFormatError, MissingPackageError))
    assert issubclass(BitWarning, UserWarning)
    assert not issubclass(InputError, FileFormatError)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chw", ["cHW", "m"], "did you mean 'cHW'?"),
        ("pt_l1", ["pt_l2", "pt_l3", "eta"], "did you mean 'pt_l3' or 'pt_l2'?"),
        ("zzz", ["a", "b"], "known names: 'a', 'b'"),
        ("zzz", [], "known names: "),
    ],
)
def test_near_match(name, options, message):
    assert near_match(name, options) == message


def test_long_lists_are_cut():
    message = near_match("zzz", [f"name{k}" for k in range(100)])
    assert message.count("'name") == 20
    assert message.endswith(", ...")
