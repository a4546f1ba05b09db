"""Which images `esb prune --images` removes."""

from esb_cli.images import superseded
from esb_e2e_plugin.lifecycle.engine_inventory import BuiltImage


def image(number: int, *tags: str, used: bool = False) -> BuiltImage:
    return BuiltImage(f"sha256:{number}", tags, number, used)


def test_what_a_newer_image_has_replaced_goes_unless_somebody_uses_it() -> None:
    """A container, an environment that is there, or being the newest of its name keeps an image."""
    old = image(1, "echo:0123456789abcdef")
    in_a_container = image(2, "echo:1123456789abcdef", used=True)
    of_an_environment = image(3, "echo:2123456789abcdef", "echo:e2e-there-latest")
    of_one_that_is_gone = image(4, "echo:3123456789abcdef", "echo:e2e-gone-latest")
    newest = image(5, "echo:4123456789abcdef")
    other = image(1, "pay:0123456789abcdef")
    latest = image(1, "base:latest")
    newer_base = image(2, "base:5123456789abcdef")
    nameless = image(1)
    gone, kept = [old, of_one_that_is_gone, nameless], [in_a_container, of_an_environment, newest]
    images = [*gone, *kept, other, latest, newer_base]
    assert superseded(images, {"there"}) == gone


def test_an_image_that_one_of_its_names_needs_stays() -> None:
    """Several functions can share one."""
    shared = image(1, "echo:0123456789abcdef", "pay:0123456789abcdef")
    newer = image(2, "echo:1123456789abcdef")
    assert superseded([shared, newer], ()) == []
