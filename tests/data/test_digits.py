import numpy as np
from sklearn.datasets import load_digits

from striate.data.digits import read_digits


def test_levels_fill_the_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = read_digits()
    bunch = load_digits()
    assert source.pictures.shape == (1797, 1, 8, 8)
    assert np.array_equal(np.round(source.pictures[:, 0].numpy() * (16 / 255)), bunch.images)
    assert source.pictures.max() == 255
    assert source.targets == tuple(map(str, bunch.target))
    assert source.names[12] == "digits[12]"
    assert source.notes == ()


def test_a_folder_of_the_same_name_is_mentioned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert "write ./digits" in read_digits().notes[0]
