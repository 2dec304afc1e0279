import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from striate.training.report.scores import confused_pairs, scores, wilson_interval, worst_mistakes


@pytest.mark.parametrize(("samples", "classes"), [(200, 4), (7, 10), (1, 2), (30, 2)])
def test_scores_are_those_of_scikit_learn(samples, classes):
    random = np.random.default_rng(samples)
    labels, predicted = random.integers(0, classes, samples), random.integers(0, classes, samples)
    ours, every = scores(labels, predicted, classes), list(range(classes))
    expected = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=np.nan)
    for mine, theirs in zip((ours.precision, ours.recall, ours.f1, ours.support), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)
    np.testing.assert_array_equal(ours.confusion, confusion_matrix(labels, predicted, labels=every))
    assert (ours.total, ours.wrong) == (samples, (labels != predicted).sum())


def test_scores_of_nothing():
    nothing = scores(np.array([], np.int64), np.array([], np.int64), 2)
    assert (nothing.total, nothing.wrong) == (0, 0)
    assert np.isnan(nothing.f1).all()


def test_wilson_interval_against_published_values():
    # Newcombe, Statistics in Medicine 17 (1998), table I.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


@pytest.mark.parametrize(("right", "total"), [(3, 2), (-1, 2), (0, 0)])
def test_wilson_interval_refuses_impossible_counts(right, total):
    with pytest.raises(ValueError, match=f"got {right} of {total}"):
        wilson_interval(right, total)


def test_worst_mistakes_are_the_wrong_ones_surest_first():
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.05, 0.95], [0.8, 0.2], [0.3, 0.7]], np.float32)
    labels = np.array([1, 0, 1, 1, 0])
    assert worst_mistakes(labels, probabilities).tolist() == [0, 3, 1, 4]
    assert worst_mistakes(labels, probabilities, limit=2).tolist() == [0, 3]
    assert worst_mistakes(probabilities.argmax(axis=1), probabilities).tolist() == []


def test_worst_mistakes_put_undefined_probabilities_last():
    probabilities = np.array([[np.nan, np.nan], [0.6, 0.4]], np.float32)
    assert worst_mistakes(np.array([1, 1]), probabilities).tolist() == [1, 0]


def test_confused_pairs_leave_out_what_is_right():
    confusion = np.array([[90, 2, 0], [5, 80, 2], [0, 0, 70]])
    assert confused_pairs(confusion) == [(1, 0, 5), (0, 1, 2), (1, 2, 2)]
    assert confused_pairs(confusion, limit=1) == [(1, 0, 5)]
    assert confused_pairs(np.diag([3, 4])) == []
