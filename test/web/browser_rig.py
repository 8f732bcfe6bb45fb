# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
"""A page in a real browser, and what a person sees on it and does with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from client_stand_in import BITS, StandIn, STRIP_HEIGHT
from playwright.sync_api import Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from waiting import wait_until

# Follows, in the page, which picture is on the canvas: its number is read from the pixels.
WATCH = """
([bits, stripHeight, width, height]) => {
  const canvas = document.querySelector('#stage canvas');
  const readNumber = () => {
    const stage = document.querySelector('#stage').getBoundingClientRect();
    const ratio = canvas.width / stage.width;
    const zoom = window.stageZoom ?? {factor: 1, x: 0, y: 0};
    const scale = Math.min(stage.width / width, stage.height / height);
    const left = (stage.width - width * scale) / 2, top = (stage.height - height * scale) / 2;
    const context = canvas.getContext('2d');
    let number = 0;
    for (let bit = 0; bit < bits; bit++) {
      const x = (left + (bit + 0.5) * width / bits * scale) * ratio;
      const y = (top + stripHeight / 2 * scale) * ratio;
      if (context.getImageData(x, y, 1, 1).data[1] > 128) number |= 1 << bit;
    }
    return number;
  };
  window.seen = {now: readNumber(), before: null, at: 0, presses: []};
  document.addEventListener('drawn', (event) => {
    Object.assign(seen, {before: seen.now, now: readNumber(), at: Infinity, ...event.detail});
    // What is drawn is seen when the browser draws again.
    const {stamp} = event.detail;
    requestAnimationFrame((now) => { if (seen.stamp === stamp) seen.at = now; });
  });
  document.addEventListener('pointerdown', (event) => {
    const isSeen = event.timeStamp >= seen.at || seen.before === null;
    seen.presses.push(isSeen ? readNumber() : seen.before);
  }, {capture: true});
}
"""


@dataclass
class ConsolePage:
    """
    One browser's page.

    :param hw: height and width of the camera's pictures
    """

    page: Page
    tracker: StandIn
    hw: tuple[int, int]

    def open(self, address: str) -> None:  # noqa: A003
        self.page.goto(address)
        self.wait_for_picture()
        height, width = self.hw
        self.page.evaluate(WATCH, [BITS, STRIP_HEIGHT, width, height])

    def wait_for_picture(self) -> None:
        self.page.wait_for_selector('#stage[data-stamp]', state='attached')

    def point_of(self, x: float, y: float) -> tuple[float, float]:
        """Return where on the screen the middle of a pixel of the picture is, in CSS pixels."""
        stage = self.page.locator('#stage').bounding_box()
        height, width = self.hw
        scale = min(stage['width'] / width, stage['height'] / height)
        left = stage['x'] + (stage['width'] - width * scale) / 2
        top = stage['y'] + (stage['height'] - height * scale) / 2
        return left + (x + 0.5) * scale, top + (y + 0.5) * scale

    def click(self, x: float, y: float, **how: Any) -> int:
        """Click on a pixel of the picture; return the number of the picture that was seen."""
        before = len(self.presses)
        self.page.mouse.click(*self.point_of(x, y), **how)
        return wait_until(lambda: self.presses[before:])[0]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> int:
        """Draw a box from one pixel's middle to another's."""
        before = len(self.presses)
        self.page.mouse.move(*self.point_of(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.point_of(*end), steps=4)
        self.page.mouse.up()
        return wait_until(lambda: self.presses[before:])[0]

    @property
    def presses(self) -> list[int]:
        return self.page.evaluate('seen.presses')

    def wait_for_message(self, text: str) -> str:
        """Wait until the line under the picture has a text in it."""
        line = self.page.locator('#message', has_text=text)
        try:
            line.wait_for()
        except PlaywrightTimeoutError as error:
            said = self.page.locator('#message').text_content()
            raise AssertionError(f'it does not say {text!r}, but {said!r}') from error
        return line.text_content()

    def wait_for_object(self, object_id: int) -> Any:
        """Wait until the list has an object; return its row."""
        row = self.page.locator(f'.object[data-id="{object_id}"]')
        row.wait_for()
        return row

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        # In the page itself nothing may be evaluated: its own policy.
        wait_until(lambda: self.page.evaluate(expression), what=expression)
