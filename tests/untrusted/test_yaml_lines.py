"""Lines of values in a YAML text."""

import pytest

from gradpipe.untrusted.yaml_lines import YamlLines

TEXT = """\
# a comment
models:
  - demo
  - id: x
    name: y
ray: {cpus: 2,
  gpus: 1}
5: five
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("models",), 2),
        (("models", 0), 3),
        (("models", 1, "name"), 5),
        (("ray", "gpus"), 7),
        ((5,), 8),
        # What is missing is where it should be.
        (("models", 1, "revision"), 4),
        (("models", 7), 2),
        (("models", 0, "id"), 3),
        (("benchmarks",), None),
        ((), None),
    ],
)
def test_a_value_is_at_the_line_of_its_key(place: tuple[int | str, ...], line: int | None) -> None:
    assert YamlLines(TEXT).at(place) == line
