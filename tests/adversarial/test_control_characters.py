"""What a user's code says, and what is printed of it."""

import pytest

from thalweg.errors import InputError, first_line


@pytest.mark.parametrize(
    "text", ["\x1b[31mboom\x1b[0m", "bell\x07", "csi\x9b31m", "turned\u202eback", "isolated\u2066x"]
)
def test_the_first_line_of_an_error_holds_no_control_characters(text: str) -> None:
    """It becomes a run's failure, which the verdict quotes, on a terminal and in pipes."""
    found = first_line(ValueError(text))
    assert found.isprintable()
    assert "\\" in found
    assert str(InputError(text)).isprintable()


def test_other_letters_stay_as_they_are() -> None:
    assert first_line(ValueError("  größer als 日本 שלום \n second")) == "größer als 日本 שלום"
