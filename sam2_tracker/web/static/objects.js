// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// The list of objects: colour, label, state, score and its past, and a button to remove each.

import {isDark} from './stage.js';

const KEPT = 90;
const WORDS = {visible: 'visible', occluded: 'occluded', lost: 'lost', unknown: 'on its way'};
const SVG = 'http://www.w3.org/2000/svg';

export class ObjectList {
  #list;
  #on;
  #stage;
  #items = new Map();

  /** @param {{select, rename, remove}} on called with an object's id */
  constructor(list, stage, on) {
    this.#list = list;
    this.#stage = stage;
    this.#on = on;
  }

  get ids() { return [...this.#items.keys()]; }

  nameOf(id) {
    const label = this.#items.get(id)?.label;
    return label ? `${id} ${label}` : `object ${id}`;
  }

  /** Show the objects that there are. */
  show(objects, selected) {
    const present = new Set(objects.map(({id}) => id));
    for (const [id, item] of this.#items) {
      if (present.has(id)) continue;
      item.row.remove();
      this.#items.delete(id);
    }
    for (const object of objects) {
      const item = this.#items.get(object.id) ?? this.#add(object.id);
      this.#update(item, object, selected === object.id);
    }
  }

  /** Take the scores of a picture. It may be older than the list: who has come or gone is not in it. */
  addScores(objects) {
    for (const object of objects) {
      const item = this.#items.get(object.id);
      if (item) this.#addScore(item, object);
    }
  }

  /** Begin to edit a label. */
  rename(id) {
    const input = this.#items.get(id)?.input;
    input?.focus();
    input?.select();
  }

  #add(id) {
    const row = document.createElement('li');
    row.className = 'object';
    row.dataset.id = id;
    row.tabIndex = -1;
    row.innerHTML = `
      <button type="button" class="pick"><b></b></button>
      <div class="what"><input maxlength="256" placeholder="add a label" autocomplete="off" spellcheck="false"><small></small></div>
      <div class="score"><svg viewBox="0 0 ${KEPT - 1} 1" preserveAspectRatio="none" aria-hidden="true"><line x1="0" x2="${KEPT - 1}" y1="0.5" y2="0.5"/><polyline/></svg><span></span></div>
      <button type="button" class="quiet remove"><svg aria-hidden="true"><use href="icons.svg#close"/></svg></button>`;
    const [pick, swatch, input, state] = ['.pick', '.pick b', 'input', 'small'].map((each) => row.querySelector(each));
    row.style.setProperty('--colour', this.#stage.cssColourOf(id));
    swatch.textContent = id;
    if (isDark(this.#stage.colourOf(id))) swatch.style.color = '#fff';
    const item = {
      row, pick, input, state, scores: [], label: '',
      line: row.querySelector('polyline'), score: row.querySelector('.score span'), remove: row.querySelector('.remove'),
    };
    pick.addEventListener('click', () => this.#on.select(id));
    item.remove.addEventListener('click', () => this.#on.remove(id));
    this.#edit(item, id);
    this.#items.set(id, item);
    // In the order of their ids, whoever came first.
    const after = [...this.#list.children].find((each) => Number(each.dataset.id) > id);
    this.#list.insertBefore(row, after ?? null);
    return item;
  }

  #edit(item, id) {
    const {input} = item;
    input.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Escape') input.value = item.label;
      // Not to the row's button: the space bar would press it.
      if (event.key === 'Escape' || event.key === 'Enter') item.row.focus();
    });
    input.addEventListener('blur', () => {
      const label = input.value.trim();
      if (label !== item.label) this.#on.rename(id, label);
      else input.value = item.label;
    });
  }

  #update(item, object, isSelected) {
    const {id, label, state} = object;
    const name = label ? `${label} (object ${id})` : `object ${id}`;
    item.label = label;
    if (document.activeElement !== item.input) item.input.value = label;
    item.row.classList.toggle('is-selected', isSelected);
    item.pick.setAttribute('aria-pressed', isSelected);
    const word = object.catching_up ? 'catching up' : WORDS[state];
    if (item.state.textContent !== word) item.state.textContent = word;
    item.state.dataset.state = object.catching_up ? '' : state;
    this.#showScore(item, object);
    for (const [element, text] of [[item.pick, `Select ${name}`], [item.input, `Label of ${name}`], [item.remove, `Remove ${name}`]]) {
      if (element.getAttribute('aria-label') !== text) {
        element.setAttribute('aria-label', text);
        element.title = text;
      }
    }
  }

  #showScore(item, {state, score}) { item.score.textContent = state === 'unknown' ? '–' : score.toFixed(2); }

  #addScore(item, object) {
    this.#showScore(item, object);
    if (object.state === 'unknown') return;
    item.scores.push(object.score);
    item.scores.splice(0, item.scores.length - KEPT);
    const first = KEPT - item.scores.length;
    item.line.setAttribute('points', item.scores.map((each, place) => `${first + place},${(1 - each).toFixed(3)}`).join(' '));
  }
}
