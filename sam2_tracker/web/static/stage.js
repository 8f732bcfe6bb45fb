// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// The stage: draws the picture with its masks, and remembers which picture was to be seen when.

import {Viewport} from './viewport.js';

const FILL = 105;
const FILL_SELECTED = 150;
const FILL_FAINT = 60;
const EDGE = 255;
const CROSSHAIR = 11;
// A prompt's point: the disc's radius and half of the sign.
const MARK_RADIUS = 7.5;
const MARK_ARM = 4;
const ADDED = '#12784a';
const TAKEN_AWAY = '#c22f2f';

export class Stage {
  /** What is to be seen: {stamp, width, height, bitmap, labels, objects, isResult}, null before the first. */
  frame = null;
  /** A mask that a click would select: {labels, id}. */
  hover = null;
  /** The answer's masks until a live picture has them: {labels, ids, until}. */
  ghost = null;
  /** A box that is being drawn: two places. */
  box = null;
  crosshair = null;
  selected = 0;
  /** The prompts made, {object, stamp, points, box}: the selected object's are drawn on a frozen picture. */
  prompts = [];
  isFrozen = false;
  viewport = new Viewport();
  #element;
  #canvas;
  #layers = new Map();
  #colours = [];
  #next = null;
  #before = null;
  #shownAt = 0;
  #isDue = false;
  #isHeld = false;
  #afterDrawing = [];

  constructor(element, canvas) {
    this.#element = element;
    this.#canvas = canvas;
    new ResizeObserver(() => this.#fit()).observe(element);
    this.#fit();
  }

  setColours(colours) { this.#colours = colours.map((hex) => parseInt(hex.slice(1), 16)); }

  colourOf(id) { return this.#colours.length ? this.#colours[(id - 1) % this.#colours.length] : 0xffffff; }

  cssColourOf(id) { return `#${this.colourOf(id).toString(16).padStart(6, '0')}`; }

  /** Show a picture; the promise is kept when it is drawn. */
  show(frame) {
    this.#next = frame;
    return new Promise((resolve) => {
      this.#afterDrawing.push(resolve);
      this.redraw();
    });
  }

  /** Return the picture that was to be seen at a time: one may have been drawn since the event. */
  frameAt(timeStamp) { return timeStamp < this.#shownAt && this.#before ? this.#before : this.frame; }

  /** Keep a picture on the stage until it is released: the one that is there, or the one before it. */
  hold(frame) {
    this.#isHeld = true;
    if (frame === this.#before) this.#turnBack();
  }

  release() {
    this.#isHeld = false;
    this.redraw();
  }

  redraw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => this.#draw());
  }

  #fit() {
    const {clientWidth, clientHeight} = this.#element;
    this.viewport.setStage(clientWidth, clientHeight);
    this.#canvas.width = Math.max(1, Math.round(clientWidth * devicePixelRatio));
    this.#canvas.height = Math.max(1, Math.round(clientHeight * devicePixelRatio));
    this.viewport.moveBy(0, 0);
    this.#draw();
  }

  #draw() {
    this.#isDue = false;
    if (this.#next && !this.#isHeld) this.#turn();
    const context = this.#canvas.getContext('2d', {alpha: false});
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = getComputedStyle(this.#element).backgroundColor;
    context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    context.setTransform(this.#canvas.width / this.#element.clientWidth, 0, 0,
      this.#canvas.height / this.#element.clientHeight, 0, 0);
    if (this.frame) this.#drawFrame(context);
    if (this.crosshair) this.#drawCrosshair(context);
    if (this.#next) return;
    const waiting = this.#afterDrawing;
    this.#afterDrawing = [];
    for (const resolve of waiting) resolve();
  }

  /** The next picture becomes the one to be seen. */
  #turn() {
    this.#before?.bitmap.close();
    this.#before = this.frame;
    this.#put(this.#next);
    this.#next = null;
    // It is on the screen when the browser draws again: until then the one before is seen.
    this.#shownAt = Infinity;
    const {frame} = this;
    requestAnimationFrame((now_ms) => { if (this.frame === frame) this.#shownAt = now_ms; });
  }

  /** The picture before is seen again: a button went down on it when the next was drawn already. */
  #turnBack() {
    this.frame.bitmap.close();
    this.#put(this.#before);
    this.#before = null;
    this.redraw();
  }

  #put(frame) {
    this.frame = frame;
    this.viewport.setPicture(frame.width, frame.height);
    this.#element.dataset.stamp = frame.stamp;
  }

  #drawFrame(context) {
    const {left, top, width, height} = this.viewport.rectangle;
    context.imageSmoothingEnabled = this.viewport.scale * devicePixelRatio < 4;
    context.imageSmoothingQuality = 'medium';
    context.drawImage(this.frame.bitmap, left, top, width, height);
    for (const [name, labels, how] of this.#masks()) {
      context.drawImage(this.#layer(name, labels, how), left, top, width, height);
    }
    this.#drawTags(context);
    for (const {points, box} of this.#shownPrompts()) this.#drawPrompt(context, points, box);
    if (this.box) this.#drawBox(context, this.box);
  }

  #shownPrompts() {
    if (!this.isFrozen) return [];
    return this.prompts.filter(({object, stamp}) => object === this.selected && stamp === this.frame.stamp);
  }

  #drawPrompt(context, points, box) {
    if (box) this.#drawBox(context, [{x: box[0], y: box[1]}, {x: box[2], y: box[3]}], ADDED);
    for (const [x, y, isPositive] of points) this.#drawMark(context, {x: x + 0.5, y: y + 0.5}, isPositive);
  }

  /** Draw a plus or a minus; light and dark lines around it are seen on every picture. */
  #drawMark(context, place, isPositive) {
    const {x, y} = this.viewport.pointOf(place);
    for (const [radius, colour] of [[MARK_RADIUS + 2.5, '#000b'], [MARK_RADIUS + 1.5, '#fff'], [MARK_RADIUS, isPositive ? ADDED : TAKEN_AWAY]]) {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
    context.strokeStyle = '#fff';
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x - MARK_ARM, y);
    context.lineTo(x + MARK_ARM, y);
    if (isPositive) {
      context.moveTo(x, y - MARK_ARM);
      context.lineTo(x, y + MARK_ARM);
    }
    context.stroke();
  }

  #masks() {
    const masks = [];
    if (this.frame.labels) masks.push(['labels', this.frame.labels, {selected: this.selected}]);
    if (this.ghost && performance.now() < this.ghost.until) masks.push(['ghost', this.ghost.labels, {isFaint: true}]);
    if (this.hover) masks.push(['hover', this.hover.labels, {isFaint: true, isHover: true}]);
    return masks;
  }

  /** Return a canvas of the masks' own size; painted anew only if they are others. */
  #layer(name, labels, how) {
    let layer = this.#layers.get(name);
    if (!layer || layer.canvas.width !== labels.width || layer.canvas.height !== labels.height) {
      layer = {canvas: new OffscreenCanvas(labels.width, labels.height), labels: null, how: ''};
      this.#layers.set(name, layer);
    }
    const key = JSON.stringify(how);
    if (layer.labels !== labels || layer.how !== key) {
      this.#paint(layer.canvas, labels, how);
      layer.labels = labels;
      layer.how = key;
    }
    return layer.canvas;
  }

  #paint(canvas, {width, height, ids}, {selected = 0, isFaint = false, isHover = false}) {
    const context = canvas.getContext('2d');
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const last = ids.length - width;
    for (let place = 0; place < ids.length; place++) {
      const id = ids[place];
      if (!id) continue;
      const isEdge = ids[place - 1] !== id || ids[place + 1] !== id ||
        place < width || place >= last || ids[place - width] !== id || ids[place + width] !== id;
      const fill = isFaint ? FILL_FAINT : id === selected ? FILL_SELECTED : FILL;
      const colour = isEdge && (isHover || id === selected) ? 0xffffff : this.colourOf(id);
      pixels[place] = (isEdge ? EDGE : fill) << 24 | (colour & 0xff) << 16 | colour & 0xff00 | colour >> 16;
    }
    context.putImageData(image, 0, 0);
  }

  #drawTags(context) {
    if (!this.frame.isResult) return;
    context.font = '600 12px system-ui, "DejaVu Sans", sans-serif';
    context.textBaseline = 'middle';
    for (const {id, label, box} of this.frame.objects) {
      if (!box) continue;
      const text = label ? `${id} ${label.slice(0, 40)}` : `${id}`;
      const corner = this.viewport.pointOf({x: box[0], y: box[1]});
      const width = context.measureText(text).width + 10;
      const x = Math.min(Math.max(corner.x, 2), this.#element.clientWidth - width - 2);
      const y = Math.max(corner.y - 21, 2);
      context.fillStyle = this.cssColourOf(id);
      context.beginPath();
      context.roundRect(x, y, width, 18, 4);
      context.fill();
      context.fillStyle = isDark(this.colourOf(id)) ? '#fff' : '#0b0f14';
      context.fillText(text, x + 5, y + 9.5);
    }
  }

  /** Draw a box between two places: one that is being drawn, or with a colour of its own one that was. */
  #drawBox(context, places, colour = null) {
    const [one, other] = places.map((place) => this.viewport.pointOf(place));
    const area = [one.x, one.y, other.x - one.x, other.y - one.y];
    context.fillStyle = 'rgb(255 255 255 / 12%)';
    if (!colour) context.fillRect(...area);
    const lines = colour ? [[6, '#000b'], [4.4, '#fff'], [2.4, colour]] : [[1.5, '#000a'], [1.5, '#fff', [5, 4]]];
    for (const [width, line, dash = []] of lines) {
      context.setLineDash(dash);
      context.strokeStyle = line;
      context.lineWidth = width;
      context.strokeRect(...area);
    }
    context.setLineDash([]);
  }

  #drawCrosshair(context) {
    const {x, y} = this.viewport.pointOf(this.crosshair);
    for (const [width, colour] of [[4, '#000c'], [1.8, '#fff']]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + dx * 3, y + dy * 3);
        context.lineTo(x + dx * CROSSHAIR, y + dy * CROSSHAIR);
      }
      context.stroke();
    }
  }
}

/** Whether white text is easier to read on a colour than black. */
export function isDark(colour) {
  const [red, green, blue] = [colour >> 16, colour >> 8 & 0xff, colour & 0xff];
  return 0.3 * red + 0.59 * green + 0.11 * blue < 105;
}
