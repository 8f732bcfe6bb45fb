// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// How long a frozen picture still takes prompts, from what the tracker says that it still has.

const KEYS = {new: 'oldest buffered stamp', refine: 'oldest refinable stamp'};

/** Read a stamp, seconds.nanoseconds, as a number of nanoseconds; null if there is none. */
export function stampOf(text) {
  const found = /^(\d+)\.(\d{9})$/.exec(text ?? '');
  return found ? BigInt(found[1]) * 1_000_000_000n + BigInt(found[2]) : null;
}

/**
 * Return the seconds that are left of a picture: as long as the oldest one that there is takes to become it.
 * @param {bigint} stamp of the picture
 * @param {bigint|null} oldest of those that the tracker has
 * @param {number} elapsed_s since the tracker said so, 0 while nothing is evicted
 * @returns {number|null} null if the tracker does not say
 */
export function secondsLeft(stamp, oldest, elapsed_s) {
  return oldest === null ? null : Number(stamp - oldest) / 1e9 - elapsed_s;
}

/** Follows the two limits as the tracker's figures come. */
export class Limits {
  #oldest = {new: null, refine: null};
  #isMoving = {new: false, refine: false};
  #heard = 0;
  #heardAt = 0;

  /** Take the tracker's figures, and their number: a status may come twice with the same ones. */
  take(figures, heard, now_ms) {
    if (heard === this.#heard) return;
    for (const [name, key] of Object.entries(KEYS)) {
      const oldest = stampOf(figures[key]);
      this.#isMoving[name] = this.#oldest[name] !== null && oldest !== this.#oldest[name];
      this.#oldest[name] = oldest;
    }
    this.#heard = heard;
    this.#heardAt = now_ms;
  }

  /** Return what is left of a picture: {seconds, isLeast}; null if the tracker does not say. */
  left(name, stamp, now_ms) {
    const elapsed_s = this.#isMoving[name] ? (now_ms - this.#heardAt) / 1000 : 0;
    const seconds = secondsLeft(BigInt(stamp), this.#oldest[name], elapsed_s);
    return seconds === null ? null : {seconds, isLeast: !this.#isMoving[name]};
  }
}

/** Show the limits of a picture in the elements for them. */
export function showLimits(limits, stamp, elements, now_ms) {
  for (const [name, element] of Object.entries(elements)) {
    const left = limits.left(name, stamp, now_ms);
    const [meter, text] = [element.querySelector('meter'), element.querySelector('b')];
    const isOver = left !== null && left.seconds <= 0;
    element.classList.toggle('is-over', isOver);
    meter.hidden = left === null;
    if (left) {
      // What there was at the start is the whole.
      element.whole = Math.max(element.whole ?? 0, left.seconds);
      meter.value = Math.max(0, left.seconds / Math.max(element.whole, 0.001));
      meter.low = 0.25;
    }
    text.textContent = left === null ? 'not told' : isOver ? 'over' : `${left.isLeast ? '≥ ' : ''}${left.seconds.toFixed(0)} s`;
  }
}
