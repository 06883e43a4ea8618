from evalsuite.wording import listed, times


def test_lists_end_in_a_count() -> None:
    assert listed([]) == ""
    assert listed(["a", "b", "c"], most=3) == "a, b, c"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert listed(["a", "b", "c"], most=1) == "a and 2 more"


def test_shapes() -> None:
    assert times((3, 32, 32)) == "3x32x32"
    assert times(()) == ""
