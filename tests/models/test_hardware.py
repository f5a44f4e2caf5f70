"""What a machine is called."""

from gradpipe.models.devices import device_name
from gradpipe.models.hardware import processor, usable_cores


def test_a_processor_is_named_with_the_cores_that_can_be_used() -> None:
    assert device_name("cpu") == f"{processor()}, {usable_cores()} cores"
    assert usable_cores() >= 1


def test_a_device_that_says_no_name_is_called_by_its_own() -> None:
    assert device_name("mps") == "mps"
