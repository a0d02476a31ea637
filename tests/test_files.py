import os

import pytest

from bit.errors import InputError
from bit.files import existing_file, replacing


def test_written_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "x.tar.gz"
    path.write_text("old")
    with replacing(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("x.tar.gz")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["x.tar.gz"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "x"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x"]


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "x") as temporary:
            temporary.write_text("")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="does not exist; create it first"), replacing(tmp_path / "no" / "x"):
        pytest.fail("the block must not run")
    with pytest.raises(InputError, match="it is a folder"), replacing(tmp_path):
        pytest.fail("the block must not run")


def test_existing_file(tmp_path):
    (tmp_path / "events.root").write_text("")
    assert existing_file(str(tmp_path / "events.root")) == tmp_path / "events.root"
    with pytest.raises(InputError, match=r"no such file: .*event\.rot; did you mean 'events\.root'\?"):
        existing_file(tmp_path / "event.rot")
    with pytest.raises(InputError, match="check the path"):
        existing_file(tmp_path / "zzzzzz")
    with pytest.raises(InputError, match="check the path"):
        existing_file(tmp_path / "no" / "events.root")
    with pytest.raises(InputError, match="is a folder"):
        existing_file(tmp_path)
