// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// Shows the mask that a click would select, a few times a second, as long as that costs little.

const INTERVAL_MS = 250;
const LONGEST_MS = 100;
const STANDS_MS = 900;

export class Hover {
  isOn = true;
  #stage;
  #ask;
  #on;
  #place = null;
  #isAsking = false;
  #timer = 0;

  /**
   * @param {(point: number[], frame: object) => Promise<{header, labels}>} ask for a preview
   * @param {{tooSlow: (took_ms: number) => void}} on
   */
  constructor(stage, ask, on) {
    this.#stage = stage;
    this.#ask = ask;
    this.#on = on;
    setInterval(() => this.#tick(), INTERVAL_MS);
  }

  moved(place) { this.#place = {place, isNew: true}; }

  leave() {
    this.#place = null;
    this.clear();
  }

  clear() {
    clearTimeout(this.#timer);
    if (!this.#stage.hover) return;
    this.#stage.hover = null;
    this.#stage.redraw();
  }

  async #tick() {
    const {frame, viewport} = this.#stage;
    if (!this.isOn || this.#isAsking || !this.#place?.isNew || !frame || this.#stage.box) return;
    const {place} = this.#place;
    this.#place.isNew = false;
    if (!viewport.isInside(place)) return this.clear();
    this.#isAsking = true;
    try {
      const {header, labels} = await this.#ask(viewport.pixelOf(place), frame);
      if (header.took_ms > LONGEST_MS && header.ok) this.#on.tooSlow(header.took_ms);
      // Meanwhile the mouse may have left, or a click may have been made.
      if (this.#place && this.isOn && labels) this.#show(labels);
      else this.clear();
    } catch {
      this.clear();
    } finally {
      this.#isAsking = false;
    }
  }

  #show(labels) {
    clearTimeout(this.#timer);
    this.#stage.hover = {labels};
    this.#stage.redraw();
    this.#timer = setTimeout(() => this.clear(), STANDS_MS);
  }
}
