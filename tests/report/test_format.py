import pytest

from evalsuite.report.content import formats

S = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (None, "–"), (0.0, f"0{S}%"), (0.618, f"61.8{S}%"), (0.5, f"50{S}%"), (1.0, f"100{S}%"),
        # one digit would round these up to a whole that was not reached
        (0.9996, f"99.96{S}%"), (0.999999, f"99.9999{S}%"), (-0.02, f"−2{S}%"),
    ],
)  # fmt: skip
def test_share(x: float | None, text: str) -> None:
    assert formats.share(x) == text


def test_ratio_keeps_its_digit() -> None:
    assert [formats.ratio(x) for x in (None, 0.0, 0.59, 0.618, 0.9999)] == [
        "–", f"0{S}%", f"59.0{S}%", f"61.8{S}%", f"99.99{S}%",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("x", "limit", "text"),
    [
        (None, None, "–"), (0.0031, None, "+0.31"), (-0.0031, None, "−0.31"), (0.0, None, "0.00"),
        (-0.00001, None, "0.00"),
        # 0.00504 is beyond a margin of 0.005, and 0.50 would stand within it
        (0.00504, 0.005, "+0.504"), (0.00496, 0.005, "+0.50"), (0.005, 0.005, "+0.50"), (0.0050004, 0.005, "+0.50004"),
    ],
)  # fmt: skip
def test_points(x: float | None, limit: float | None, text: str) -> None:
    assert formats.points(x, limit) == text


def test_intervals() -> None:
    assert formats.interval(-0.0031, 0.0052) == "[−0.31, +0.52]"
    assert formats.interval(None, None) == "–"
    assert formats.interval(-0.5, None) == "[−50.00, –]"
    assert formats.span(0.069, 0.0812) == "[6.90, 8.12]"
    assert formats.span(None, None) == "–"


def test_counts() -> None:
    assert formats.count(12400) == "12\N{NARROW NO-BREAK SPACE}400"
    assert formats.count(None) == "–"
    assert formats.many(1, "family", "families") == f"1{S}family"
    assert formats.many(2, "family", "families") == f"2{S}families"
    assert [formats.rough(x) for x in (7, 99, 8321, 17036)] == [
        "7", "99", "8\N{NARROW NO-BREAK SPACE}300", "17\N{NARROW NO-BREAK SPACE}000",
    ]  # fmt: skip


def test_sizes() -> None:
    assert [formats.size(x) for x in (None, 999, 272_474, 40_813_184, 999_900)] == [
        "–", "999", f"272{S}k", f"40.8{S}M", f"1,000{S}k",
    ]  # fmt: skip
    assert [formats.figure(x) for x in (None, 0.0123, 1.094, 44.7, 528.3)] == ["–", "0.012", "1.09", "44.7", "528"]
    assert [formats.duration(x) for x in (None, 12.5, 5123.4, 12_000)] == [
        "–",
        f"12.5{S}s",
        f"85{S}min",
        f"3{S}h 20{S}min",
    ]


def test_moment() -> None:
    assert formats.moment("2026-11-21T09:15:00Z") == "2026-11-21 09:15 UTC"
    assert formats.moment("yesterday") == "yesterday"


def test_names_hold_no_backtick() -> None:
    assert formats.name("a`b\n c") == "`a'b c`"
    assert formats.read_as("clean", "error") == "`clean`"
    assert formats.read_as("clean", "worst_class") == "`clean:worst_class`"


def test_margin() -> None:
    assert formats.margin(0.005) == f"0.5{S}points"
    assert formats.margin(0.007) == f"0.7{S}points"
    assert formats.margin(0.01) == f"1{S}point"


def test_lists() -> None:
    assert formats.listed([]) == "none"
    assert formats.listed(["a"]) == "a"
    assert formats.listed(["a", "b", "c"]) == "a, b and c"
    assert formats.listed(list("abcdefgh"), most=3) == "a, b and 6 more"


def test_nats_are_no_percent() -> None:
    assert formats.loss(1.23456, "nats") == "1.2346"
    assert formats.points(-0.01, unit="nats") == "−0.0100"
    assert formats.points(0.0050001, 0.005, "nats") == "+0.0050001"
    assert formats.interval(-0.1, 2.5, None, "nats") == "[−0.1000, +2.5000]"
    assert formats.span(0.5, None, "nats") == "[0.5000, –]"
