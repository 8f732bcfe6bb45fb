// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// What is said of the tracker, in its own words, and its figures.

const byId = (id) => document.getElementById(id);
const WORDS = {away: 'away', unconfigured: 'not active', configuring: 'starting', inactive: 'not active', finalized: 'shut down'};
const FPS_WINDOW_MS = 2000;

/** Show how the tracker is. */
export function showStatus(status) {
  const {figures, level, state, sentence} = status;
  const isCatchingUp = status.objects.some((each) => each.catching_up);
  const word = WORDS[state] ?? (status.paused ? 'paused' : isCatchingUp ? 'catching up' : level === 'ok' ? 'tracking' : level);
  showState(word, state === 'active' && status.paused ? 'warning' : state === 'active' || level === 'error' ? level : 'warning', sentence);
  byId('tracker').textContent = status.tracker;
  document.title = `${status.tracker} · console`;
  byId('fps-in').textContent = figures['fps in'] ?? '–';
  byId('fps-out').textContent = figures['fps out'] ?? '–';
  const [half, most] = ['p50', 'p95'].map((each) => figures[`latency ${each} ms`]);
  byId('latency').textContent = half ? `${Math.round(half)} / ${Math.round(most)}` : '–';
  const drops = ['frames skipped', 'frames dropped', 'frames lost'].map((key) => figures[key]);
  byId('drops').textContent = drops[0] === undefined ? '–' : drops.join(' / ');
}

/** Show a word for how things are and a sentence that says more. */
export function showState(word, level, sentence) {
  byId('state').dataset.level = level;
  if (byId('state-word').textContent !== word) byId('state-word').textContent = word;
  byId('sentence').textContent = sentence;
  byId('sentence').title = sentence;
}

/** Counts the pictures that were drawn. */
export class ShownRate {
  #times = [];

  add(now_ms) { this.#times.push(now_ms); }

  show(now_ms) {
    this.#times = this.#times.filter((time) => now_ms - time < FPS_WINDOW_MS);
    byId('fps-shown').textContent = (this.#times.length * 1000 / FPS_WINDOW_MS).toFixed(1);
  }
}

/** Say in one line what came of what the operator did. */
export function say(sentence, level = '') {
  const line = byId('message');
  line.dataset.level = level;
  line.textContent = sentence;
}
