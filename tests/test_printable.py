"""What may be shown: nothing that a terminal acts on, and no more than fits."""

import unicodedata

import pytest

from evalsuite.printable import one_line, printable


def test_every_character_is_drawn_or_spelled() -> None:
    for code in range(0x11000):
        character = chr(code)
        shown = printable(character)
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            assert shown.isascii(), hex(code)
            assert shown.startswith("\\"), hex(code)
        else:
            assert shown == character, hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("text, ümläut, 日本語, 🎉, 1\N{NO-BREAK SPACE}000", "text, ümläut, 日本語, 🎉, 1\N{NO-BREAK SPACE}000"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nevalsuite: file is fine\r", r"a\nevalsuite: file is fine\r"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\udcff", r"\udcff"),
        ("\x9b2J", r"\x9b2J"),
    ],
)
def test_what_it_looks_like(text: str, shown: str) -> None:
    assert one_line(text) == printable(text) == shown


@pytest.mark.parametrize("text", ["x" * 20_000_000, "\x1b" * 2_000_000, "\U000e0001" * 3000])
def test_what_is_long_is_cut_in_the_middle(text: str) -> None:
    shown = one_line("first " + text + " last")
    assert len(shown) <= 2000
    assert shown.startswith("first ")
    assert shown.endswith(" last")
    assert "more characters" in shown


def test_what_fits_is_left_whole() -> None:
    assert one_line("x" * 2000) == "x" * 2000
