import dataclasses

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ["a"]}, r"labels must be \(1,\), one for each name, got \(40,\)"),
        ({"probabilities": np.zeros((40, 2), np.float32)}, r"= \(40, 3\), got \(40, 2\)"),
        ({"labels": np.full(40, 3)}, r"labels must lie in 0 ... 2, got 3 ... 3"),
        ({"labels": np.full(40, -1)}, r"labels must lie in 0 ... 2, got -1 ... -1"),
        ({"filters": np.zeros((6, 5, 5), np.float32)}, r"kernel width\), got \(6, 5, 5\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(some_run, changes, message):
    with pytest.raises(ValueError, match=message):
        some_run(**changes)


def test_a_run_without_classes_is_refused(some_run):
    with pytest.raises(ValueError, match="classes must name at least one class, got none"):
        dataclasses.replace(some_run(), classes=())


def test_the_predicted_class_is_the_most_probable(some_run):
    run = some_run()
    assert run.predicted.tolist() == [row.index(max(row)) for row in run.probabilities.tolist()]
