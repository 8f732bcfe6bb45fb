// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// Where the picture lies on the stage, and which of its pixels is where. Lengths are CSS pixels.

const MOST = 16;

export class Viewport {
  #stage = {width: 1, height: 1};
  #picture = {width: 1, height: 1};
  #zoom = 1;
  // The picture's middle, in parts of it.
  #middle = {x: 0.5, y: 0.5};

  get zoom() { return this.#zoom; }

  setStage(width, height) { this.#stage = {width: Math.max(1, width), height: Math.max(1, height)}; }

  setPicture(width, height) {
    if (width * this.#picture.height !== height * this.#picture.width) this.reset();
    this.#picture = {width, height};
  }

  /** Pixels of the screen for one of the picture. */
  get scale() {
    const {width, height} = this.#picture;
    return this.#zoom * Math.min(this.#stage.width / width, this.#stage.height / height);
  }

  /** The rectangle that the whole picture covers; parts of it may lie beyond the stage. */
  get rectangle() {
    const width = this.#picture.width * this.scale;
    const height = this.#picture.height * this.scale;
    const left = this.#stage.width / 2 - this.#middle.x * width;
    const top = this.#stage.height / 2 - this.#middle.y * height;
    return {left, top, width, height};
  }

  /** Return the place in the picture, 0,0 its top left corner, that lies under a point of the stage. */
  placeAt(x, y) {
    const {left, top} = this.rectangle;
    return {x: (x - left) / this.scale, y: (y - top) / this.scale};
  }

  pointOf(place) {
    const {left, top} = this.rectangle;
    return {x: left + place.x * this.scale, y: top + place.y * this.scale};
  }

  isInside(place) {
    return place.x >= 0 && place.y >= 0 && place.x < this.#picture.width && place.y < this.#picture.height;
  }

  /** Whether a box between two places touches the picture. */
  touches(one, other) {
    const {width, height} = this.#picture;
    const touches = (a, b, most) => Math.min(a, b) < most && Math.max(a, b) > 0;
    return touches(one.x, other.x, width) && touches(one.y, other.y, height);
  }

  /** Return a place as a prompt's point: whole numbers are the middles of pixels. */
  pixelOf(place) {
    return [clamp(place.x - 0.5, 0, this.#picture.width - 1), clamp(place.y - 0.5, 0, this.#picture.height - 1)]
      .map((value) => Math.round(value * 100) / 100);
  }

  /** Return two places as a prompt's box, its edges within the picture. */
  boxOf(one, other) {
    const {width, height} = this.#picture;
    const xs = [one.x, other.x].map((x) => clamp(x, 0, width)).sort((a, b) => a - b);
    const ys = [one.y, other.y].map((y) => clamp(y, 0, height)).sort((a, b) => a - b);
    return [xs[0], ys[0], xs[1], ys[1]].map((value) => Math.round(value * 100) / 100);
  }

  /** Zoom by a factor; what lies under a point of the stage stays there. */
  zoomBy(factor, x = this.#stage.width / 2, y = this.#stage.height / 2) {
    const place = this.placeAt(x, y);
    this.#zoom = clamp(this.#zoom * factor, 1, MOST);
    const now = this.pointOf(place);
    this.moveBy(x - now.x, y - now.y);
  }

  moveBy(x, y) {
    const {width, height} = this.rectangle;
    this.#middle = {
      x: within(this.#middle.x - x / width, this.#stage.width / width),
      y: within(this.#middle.y - y / height, this.#stage.height / height),
    };
  }

  reset() {
    this.#zoom = 1;
    this.#middle = {x: 0.5, y: 0.5};
  }
}

function clamp(value, least, most) { return Math.min(Math.max(value, least), most); }

/** Keep the picture on the stage: what is smaller stays in the middle. */
function within(middle, visible) { return visible >= 1 ? 0.5 : clamp(middle, visible / 2, 1 - visible / 2); }
