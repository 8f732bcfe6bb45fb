// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// A crosshair for the keyboard: where Enter clicks, and where a box begins.

const STEP_PX = 12;
const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

export class Crosshair {
  #stage;
  #on;
  #corner = null;

  /** @param {{click, box}} on as those of Pointing */
  constructor(stage, element, on) {
    this.#stage = stage;
    this.#on = on;
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('pointerdown', () => this.#put(null));
    element.addEventListener('blur', () => this.#put(null));
  }

  #key(event) {
    const {frame, crosshair} = this.#stage;
    if (!frame || event.ctrlKey || event.altKey || event.metaKey) return;
    const move = MOVES[event.key];
    if (move) this.#move(move, event.shiftKey ? 1 : STEP_PX / this.#stage.viewport.scale);
    else if (event.key === 'Enter' && crosshair) this.#enter(event.shiftKey);
    else if (event.key === 'b' && crosshair) this.#corner = crosshair;
    else if (event.key === 'Escape' && crosshair) this.#put(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move([x, y], step) {
    const {width, height} = this.#stage.frame;
    const from = this.#stage.crosshair ?? {x: width / 2 - x * step, y: height / 2 - y * step};
    this.#put({
      x: Math.min(Math.max(from.x + x * step, 0.5), width - 0.5),
      y: Math.min(Math.max(from.y + y * step, 0.5), height - 0.5),
    });
  }

  #enter(isNegative) {
    const {viewport, crosshair, frame} = this.#stage;
    const corner = this.#corner;
    this.#corner = null;
    this.#put(crosshair);
    if (corner) this.#on.box(viewport.boxOf(corner, crosshair), frame);
    else this.#on.click(viewport.pixelOf(crosshair), isNegative, frame);
  }

  #put(place) {
    if (!place) this.#corner = null;
    this.#stage.crosshair = place;
    this.#stage.box = place && this.#corner ? [this.#corner, place] : null;
    this.#stage.redraw();
  }
}
