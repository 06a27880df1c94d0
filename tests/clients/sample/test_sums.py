"""A small suite with one failure, for the manager to run."""


def test_one_and_one():
    assert 1 + 1 == 2


def test_two_and_two():
    assert 2 + 2 == 4


def test_two_and_three():
    assert 2 + 3 == 5


def test_that_is_wrong():
    assert 2 + 2 == 5
