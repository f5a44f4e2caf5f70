"""Texts from outside, on a terminal."""


def without_controls(text: str) -> str:
    """A text whose control characters, which could steer a terminal, are written as codes.

    Line breaks and tabs stay.
    """
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else f"\\x{ord(letter):02x}"
        for letter in text
    )
