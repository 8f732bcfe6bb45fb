// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// Hands on the stage: what mouse, pen and fingers do becomes clicks, boxes and zooming.

const DRAG_PX = 6;
const MIDDLE = 1;
const RIGHT = 2;

export class Pointing {
  #stage;
  #element;
  #on;
  #held = new Map();
  #press = null;

  /**
   * @param {Stage} stage
   * @param {{click, box, hover, leave, hold, zoomed}} on called with what is done
   */
  constructor(stage, element, on) {
    this.#stage = stage;
    this.#element = element;
    this.#on = on;
    element.addEventListener('pointerdown', (event) => this.#down(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    element.addEventListener('pointerup', (event) => this.#up(event));
    element.addEventListener('pointercancel', (event) => this.#cancel(event));
    element.addEventListener('pointerleave', () => this.#on.leave());
    element.addEventListener('contextmenu', (event) => event.preventDefault());
    element.addEventListener('wheel', (event) => this.#wheel(event), {passive: false});
    document.addEventListener('keydown', (event) => this.#key(event), {capture: true});
  }

  #pointOf(event) {
    const {left, top} = this.#element.getBoundingClientRect();
    return {x: event.clientX - left, y: event.clientY - top};
  }

  #down(event) {
    // The browser's own buttons go back and forward.
    if (event.button > RIGHT) return;
    const point = this.#pointOf(event);
    this.#held.set(event.pointerId, point);
    this.#element.setPointerCapture?.(event.pointerId);
    if (this.#held.size > 1 || event.button === MIDDLE) {
      // Two fingers, or the middle button: the picture is moved.
      this.#letGo();
      return;
    }
    const frame = this.#stage.frameAt(event.timeStamp);
    if (!frame) return;
    const place = this.#stage.viewport.placeAt(point.x, point.y);
    // Until the button is up the picture stays: the prompt belongs to it. Ctrl is a Mac's right button.
    this.#press = {point, place, frame, isNegative: event.button === RIGHT || event.shiftKey || event.ctrlKey};
    this.#stage.hold(frame);
    this.#on.hold(true);
  }

  #move(event) {
    const point = this.#pointOf(event);
    const before = this.#held.get(event.pointerId);
    if (!before) {
      if (event.pointerType === 'mouse') this.#on.hover(this.#stage.viewport.placeAt(point.x, point.y));
      return;
    }
    if (this.#press) this.#drag(point);
    else this.#moveBy(event.pointerId, before, point);
    this.#held.set(event.pointerId, point);
  }

  #drag(point) {
    const {point: start, place} = this.#press;
    if (!this.#stage.box && Math.hypot(point.x - start.x, point.y - start.y) < DRAG_PX) return;
    this.#stage.box = [place, this.#stage.viewport.placeAt(point.x, point.y)];
    this.#stage.redraw();
  }

  #moveBy(pointerId, before, point) {
    const {viewport} = this.#stage;
    const other = [...this.#held].find(([id]) => id !== pointerId)?.[1];
    if (other) {
      const factor = distance(point, other) / Math.max(1, distance(before, other));
      viewport.zoomBy(factor, (point.x + other.x) / 2, (point.y + other.y) / 2);
      viewport.moveBy((point.x - before.x) / 2, (point.y - before.y) / 2);
    } else {
      viewport.moveBy(point.x - before.x, point.y - before.y);
    }
    this.#on.zoomed();
  }

  #up(event) {
    const press = this.#press;
    const box = this.#stage.box;
    this.#cancel(event);
    if (!press) return;
    const {viewport} = this.#stage;
    // A box may begin or end beside the picture: what it is around may touch the edge.
    if (box && viewport.touches(...box)) this.#on.box(viewport.boxOf(...box), press.frame);
    else if (!box && viewport.isInside(press.place)) this.#on.click(viewport.pixelOf(press.place), press.isNegative, press.frame);
  }

  /** Escape gives up what the pressed button has begun. */
  #key(event) {
    if (event.key !== 'Escape' || !this.#press) return;
    event.preventDefault();
    event.stopPropagation();
    this.#held.clear();
    this.#letGo();
  }

  #cancel(event) {
    this.#held.delete(event.pointerId);
    this.#letGo();
  }

  #letGo() {
    const wasPressed = this.#press !== null;
    this.#press = null;
    this.#stage.box = null;
    this.#stage.release();
    if (wasPressed) this.#on.hold(false);
  }

  #wheel(event) {
    event.preventDefault();
    const point = this.#pointOf(event);
    this.#stage.viewport.zoomBy(Math.exp(-event.deltaY / 400), point.x, point.y);
    this.#on.zoomed();
  }
}

function distance(one, other) { return Math.hypot(one.x - other.x, one.y - other.y); }
