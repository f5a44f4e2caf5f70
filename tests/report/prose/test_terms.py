"""Terms are explained where they occur, each once."""

from gradpipe.report.prose.terms import TERMS, explained


def names(texts: list[str], already: tuple[str, ...] = ()) -> list[str]:
    return [term for term, _ in explained(texts, already)]


def test_terms_that_occur_are_explained_in_a_fixed_order() -> None:
    assert names(["The MAD of 16 cells", "the Nuclear norm's curve"]) == [
        "nuclear norm",
        "MAD",
        "cell",
    ]


def test_a_term_is_explained_once() -> None:
    assert names(["MAD over 16 cells"], ("MAD",)) == ["cell"]


def test_parts_of_words_and_small_letters_of_abbreviations_are_not_terms() -> None:
    assert names(["He was mad; hard; cellular; the third"]) == []
    assert all(names([f"About {term}."])[0] for term in TERMS)
