// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// What the operator points at becomes prompts, one after the other, each for the picture it was made on.

import {labelsWithout, mergedLabels} from './messages.js';
import {say} from './status.js';

const GHOST_MS = 2500;

export class Prompting {
  /** Clicks toggle: they take away from the object. */
  isNegative = false;
  #connection;
  #stage;
  #list;
  #on;
  // What the next click is for: {id} 0 for a new object, until the answer says its id.
  #target = {id: 0, wasListed: false};
  #queue = Promise.resolve();

  /** @param {{targeted}} on called when another object is selected */
  constructor(connection, stage, list, on) {
    this.#connection = connection;
    this.#stage = stage;
    this.#list = list;
    this.#on = on;
  }

  get selected() { return this.#target.id; }

  select(id) {
    this.#target = {id, wasListed: false};
    this.#targeted();
  }

  /** Take in which objects there are: one that has gone is not selected any more. */
  listed(ids) {
    const {id, wasListed} = this.#target;
    if (!id) return;
    if (ids.includes(id)) this.#target.wasListed = true;
    else if (wasListed) this.select(0);
  }

  click(point, isNegative, frame) {
    const takesAway = isNegative !== this.isNegative;
    // A click right after the first one refines what that one makes.
    const target = this.#target;
    this.#enqueue(async () => {
      if (takesAway && !target.id) {
        say('Select an object first: a negative click takes away from one.', 'warning');
        return;
      }
      await this.#prompt(target, {points: [[...point, takesAway ? 0 : 1]]}, frame);
    });
  }

  box(corners, frame) {
    const target = this.#target;
    this.#enqueue(() => this.#prompt(target, {box: corners}, frame));
  }

  preview(point, frame) {
    const takesAway = this.isNegative && this.selected;
    const points = [[...point, takesAway ? 0 : 1]];
    return this.#connection.ask('prompt', {stamp: frame.stamp, object: this.selected, points, preview: true});
  }

  rename(object, label) {
    const done = label ? `object ${object} is called ${label}` : `object ${object} has no label any more`;
    this.#enqueue(() => this.#do('rename', {object, label}, done));
  }

  remove(object) {
    const name = this.#list.nameOf(object);
    this.#enqueue(async () => {
      if (await this.#do('remove', {object}, `${name} is removed`)) this.#takeFromPicture(object);
    });
  }

  undo() {
    this.#enqueue(async () => {
      const reply = await this.#do('undo', {}, '');
      if (!reply) return;
      say(reply.header.sentence, 'ok');
      if (reply.labels) this.#drawAnswer(reply);
      else this.#takeFromPicture(reply.header.removed);
    });
  }

  reset() {
    this.#enqueue(async () => {
      if (!await this.#do('reset', {}, 'every object is removed')) return;
      this.#relabel(null);
      this.select(0);
    });
  }

  pause(on) { this.#enqueue(() => this.#do('pause', {on}, on ? 'tracking is paused' : 'tracking goes on')); }

  save(name) { this.#enqueue(() => this.#do('save', {name}, '')); }

  load(name) { this.#enqueue(() => this.#do('load', {name}, `${name} is loaded`)); }

  #enqueue(work) { this.#queue = this.#queue.then(work).catch((error) => say(error.message, 'error')); }

  /** Ask for something and say what came of it; returns nothing where it was refused. */
  async #do(what, fields, done) {
    const reply = await this.#connection.ask(what, fields);
    const {ok, sentence} = reply.header;
    if (!ok) say(sentence, 'error');
    else say(done || sentence, 'ok');
    return ok ? reply : null;
  }

  async #prompt(target, prompt, frame) {
    const isNew = !target.id;
    say(isNew ? 'asking for a new object …' : `refining ${this.#list.nameOf(target.id)} …`);
    const reply = await this.#do('prompt', {stamp: frame.stamp, object: target.id, ...prompt}, '');
    if (!reply) {
      // It may have come and gone between two lists.
      if (target === this.#target && target.id && !target.wasListed && !this.#list.ids.includes(target.id)) this.select(0);
      return;
    }
    const [object] = reply.header.objects;
    target.id = object.id;
    const what = object.box ? `${object.area} pixels, score ${object.score.toFixed(2)}` : 'nothing to be seen there';
    say(`${isNew ? 'new object' : 'refined object'} ${object.id}: ${what}`, object.box ? 'ok' : 'warning');
    this.#drawAnswer(reply);
    this.#targeted();
  }

  #drawAnswer({header, labels}) {
    if (!labels) return;
    const {frame} = this.#stage;
    const ids = header.objects.map(({id}) => id);
    if (frame?.stamp === header.stamp) {
      this.#relabel(mergedLabels(frame.labels, labels, ids), header.objects);
    } else {
      this.#stage.ghost = {labels, ids, until: performance.now() + GHOST_MS};
      this.#stage.redraw();
    }
  }

  #takeFromPicture(id) {
    const {frame} = this.#stage;
    if (id === this.selected) this.select(0);
    this.#stage.ghost = null;
    if (!frame) return;
    frame.objects = frame.objects.filter((each) => each.id !== id);
    this.#relabel(labelsWithout(frame.labels, id));
  }

  /** Give the picture on the stage other masks. */
  #relabel(labels, objects = []) {
    const {frame} = this.#stage;
    if (!frame) return;
    frame.labels = labels;
    // What is known of others is of another picture.
    if (!labels || (objects.length && !frame.isResult)) frame.objects = [];
    for (const object of objects) {
      frame.isResult = true;
      frame.objects = [...frame.objects.filter(({id}) => id !== object.id), object];
    }
    this.#stage.redraw();
  }

  #targeted() {
    this.#stage.selected = this.#target.id;
    this.#stage.redraw();
    this.#on.targeted(this.#target.id);
  }
}
