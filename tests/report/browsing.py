"""A report in a headless browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any


class Opened:
    """A report opened in the browser, with its console messages and requests."""

    def __init__(
        self,
        browser: Any,
        index: Path,
        width: int = 1280,
        *,
        address: str = "",
        scheme: str = "light",
    ) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(index.as_uri() + address)
        self.page.wait_for_selector("html[data-ready=yes]", timeout=300_000)

    def lines(self, chart: str) -> list[str]:
        """The shapes of the lines drawn in a chart."""
        paths = self.page.locator(f"#chart-{chart} .mark-line path")
        shapes: list[str] = paths.evaluate_all("all => all.map((p) => p.getAttribute('d'))")
        return shapes

    def after(self, chart: str, act: Callable[[], object]) -> None:
        """Do something and wait until the chart is drawn again."""
        box = f"#chart-{chart}"
        before = self.page.get_attribute(box, "data-drawn")
        act()
        self.page.wait_for_function(
            "([box, old]) => document.querySelector(box).dataset.drawn !== old", arg=[box, before]
        )
