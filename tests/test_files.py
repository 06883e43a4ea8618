"""Files are there whole or not at all."""

import pytest

from evalsuite.files import clear_partials, write_atomically


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomically(path, "one ✓")
    assert path.read_text(encoding="utf-8") == "one ✓"
    with pytest.raises(TypeError):
        write_atomically(path, 3)
    assert path.read_text(encoding="utf-8") == "one ✓"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "networks").mkdir()
    for name in (".results.json.0a1b2c3d.partial", "networks/.x.safetensors.00000000.partial"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".keep").touch()
    clear_partials(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".keep", "networks"]
