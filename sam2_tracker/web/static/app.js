// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// The page: puts its parts together. Each part is a module of its own beside this one.

import {bindActions, fillHelp} from './actions.js';
import {Connection} from './connection.js';
import {Crosshair} from './crosshair.js';
import {ask, startTheme, switchTheme, toggleHelp} from './dialogs.js';
import {Limits, showLimits} from './freeze.js';
import {Hover} from './hover.js';
import {ObjectList} from './objects.js';
import {Pointing} from './pointing.js';
import {Prompting} from './prompting.js';
import {Stage} from './stage.js';
import {say, ShownRate, showState, showStatus} from './status.js';

const STALE_MS = 2500;
const ZOOM_STEP = 1.4;

const byId = (id) => document.getElementById(id);
const stage = new Stage(byId('stage'), byId('canvas'));
const limits = new Limits();
const rate = new ShownRate();
const view = {isHeld: false, isHere: false, isLocked: false, waiting: null, drawnAt: 0, status: null};

const connection = new Connection({
  welcome(header) {
    stage.setColours(header.colours);
    view.isHere = true;
    view.isLocked = false;
    view.waiting = null;
    // One that holds its picture asks for the next when it goes on.
  },
  status: takeStatus,
  frame: takeFrame,
  away(reason) {
    view.isHere = false;
    showState('no console', 'error', `${reason}; trying again`);
    showWhetherOld(true);
  },
  async tokenWanted() {
    view.isHere = false;
    view.isLocked = true;
    showState('locked', 'warning', 'the console asks for a token');
    const token = await ask({
      title: 'Token', text: 'This console asks for the token that it was started with.', yes: 'Open', name: 'Token', isSecret: true,
    });
    connection.useToken(token ?? '');
  },
});
const list = new ObjectList(byId('objects'), stage, {
  select: (id) => prompting.select(id === prompting.selected ? 0 : id),
  rename: (id, label) => prompting.rename(id, label),
  remove: (id) => prompting.remove(id),
});
const prompting = new Prompting(connection, stage, list, {targeted: showTarget});
const hover = new Hover(stage, (point, frame) => prompting.preview(point, frame), {
  tooSlow(took_ms) {
    setHover(false);
    say(`Hovering is off, since the last preview took ${Math.round(took_ms)} ms; H tries again.`, 'warning');
  },
});
const onStage = {
  click(point, isNegative, frame) {
    hover.leave();
    prompting.click(point, isNegative, frame);
  },
  box(corners, frame) {
    hover.leave();
    prompting.box(corners, frame);
  },
  hover: (place) => hover.moved(place),
  leave: () => hover.leave(),
  hold(isHeld) {
    view.isHeld = isHeld;
    goOn();
  },
  zoomed: showZoom,
};

async function takeFrame(header, {jpeg, labels}) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(jpeg);
  } catch {
    connection.acknowledge();
    return;
  }
  view.waiting = {
    bitmap, labels, stamp: header.stamp, width: header.width, height: header.height,
    objects: header.objects, isResult: header.is_result,
  };
  goOn();
}

/** Show the picture that waits, unless the one on the stage is to stay. */
async function goOn() {
  const frame = view.waiting;
  if (!frame || stage.isFrozen || view.isHeld) return;
  view.waiting = null;
  dropGhost(frame);
  await stage.show(frame);
  connection.acknowledge();
  view.drawnAt = performance.now();
  rate.add(view.drawnAt);
  if (frame.isResult) list.addScores(frame.objects);
  const ids = frame.isResult ? frame.objects.filter(({box}) => box).map(({id}) => id) : [];
  document.dispatchEvent(new CustomEvent('drawn', {detail: {stamp: frame.stamp, ids, hasMasks: Boolean(frame.labels)}}));
}

/** The answer's masks go when a live picture has them. */
function dropGhost(frame) {
  const isThere = (id) => frame.objects.some((each) => each.id === id && !each.catching_up && each.state !== 'unknown');
  if (stage.ghost && frame.isResult && stage.ghost.ids.every(isThere)) stage.ghost = null;
}

function takeStatus(status) {
  view.status = status;
  limits.take(status.figures, status.heard, performance.now());
  showStatus(status);
  stage.prompts = status.prompts;
  stage.redraw();
  showObjects(status.objects);
  showWhetherOld(status.state !== 'active');
  const {undo, paused} = status;
  const button = buttonOf('undo');
  button.disabled = !undo;
  button.title = undo ? `Take back the ${undo.what} on object ${undo.object} (Z)` : 'There is no prompt to take back';
  press('pause', paused);
}

/** Say whether the list is as it was, since nobody tracks now or says so. */
function showWhetherOld(isOld) {
  byId('objects').classList.toggle('is-old', isOld);
  byId('old').hidden = !isOld || !list.ids.length;
}

function showObjects(objects) {
  list.show(objects, prompting.selected);
  prompting.listed(list.ids);
  byId('count').textContent = objects.length;
  byId('empty').hidden = objects.length > 0;
}

function showTarget(id) {
  byId('target').textContent = id ? `clicks refine ${list.nameOf(id)}` : 'a click makes a new one';
  for (const row of byId('objects').children) {
    const isSelected = Number(row.dataset.id) === id;
    row.classList.toggle('is-selected', isSelected);
    row.querySelector('.pick').setAttribute('aria-pressed', isSelected);
  }
}

function buttonOf(action) { return document.querySelector(`[data-action="${action}"]`); }

function press(action, isPressed) { buttonOf(action).setAttribute('aria-pressed', isPressed); }

function setFrozen(isFrozen) {
  if (isFrozen && !stage.frame) return;
  stage.isFrozen = isFrozen;
  stage.redraw();
  press('freeze', isFrozen);
  byId('stage').classList.toggle('is-frozen', isFrozen);
  byId('frozen').hidden = !isFrozen;
  for (const element of Object.values(limitElements)) element.whole = 0;
  say(isFrozen ? 'The picture is frozen: what you point at belongs to it. The tracker goes on.' : 'Live.');
  showTime();
  goOn();
}

function setHover(isOn) {
  hover.isOn = isOn;
  if (!isOn) hover.clear();
  press('hover', isOn);
}

function setNegative(isNegative) {
  prompting.isNegative = isNegative;
  press('negative', isNegative);
  byId('stage').classList.toggle('is-negative', isNegative);
}

function showZoom() {
  byId('zoom').textContent = `${Math.round(stage.viewport.zoom * 100)} %`;
  stage.redraw();
}

function selectBy(step) {
  const {ids} = list;
  if (!ids.length) return;
  const at = ids.indexOf(prompting.selected);
  const start = at < 0 && step < 0 ? 0 : at;
  prompting.select(ids[(start + step + ids.length) % ids.length]);
}

async function askAnd(question, then) {
  const answer = await ask(question);
  if (answer !== null) then(answer);
}

const run = {
  freeze: () => setFrozen(!stage.isFrozen),
  add: () => prompting.select(0),
  negative: () => setNegative(!prompting.isNegative),
  undo: () => prompting.undo(),
  hover: () => setHover(!hover.isOn),
  pause: () => prompting.pause(!view.status?.paused),
  number: (key) => { const id = list.ids[Number(key) - 1]; if (id) prompting.select(id); },
  previous: () => selectBy(-1),
  next: () => selectBy(1),
  rename: () => { if (prompting.selected) list.rename(prompting.selected); },
  remove: () => { if (prompting.selected) prompting.remove(prompting.selected); },
  save: () => askAnd({
    title: 'Save memory', text: 'What the model remembers of every object goes into a file on the robot, in memory.directory.', yes: 'Save', name: 'File name', value: 'objects',
  }, (name) => prompting.save(name)),
  load: () => askAnd({
    title: 'Load memory', text: 'The objects of a saved file are looked for from the next picture on, under new numbers.', yes: 'Load', name: 'File name', value: 'objects',
  }, (name) => prompting.load(name)),
  reset: () => askAnd({
    title: 'Remove every object?', text: 'The tracker forgets all of them. That cannot be taken back.', yes: 'Remove all',
  }, () => prompting.reset()),
  'zoom-in': () => zoom(ZOOM_STEP),
  'zoom-out': () => zoom(1 / ZOOM_STEP),
  'zoom-reset': () => { stage.viewport.reset(); showZoom(); },
  theme: () => { switchTheme(); stage.redraw(); },
  help: toggleHelp,
};

function zoom(factor) {
  stage.viewport.zoomBy(factor);
  showZoom();
}

const limitElements = {new: byId('left-new'), refine: byId('left-refine')};

/** What changes with time alone. */
function showTime() {
  const now = performance.now();
  rate.show(now);
  if (stage.isFrozen) showLimits(limits, stage.frame.stamp, limitElements, now);
  const notice = byId('notice');
  const isStale = now - view.drawnAt > STALE_MS && !stage.isFrozen && !view.isHeld;
  notice.hidden = view.isHere && !isStale;
  if (view.isLocked) notice.textContent = 'Locked: the console asks for a token.';
  else if (!view.isHere) notice.textContent = `The console does not answer.${stage.frame ? ' What you see is old.' : ''}`;
  else if (!stage.frame) notice.textContent = "Waiting for the camera's pictures …";
  else notice.textContent = `No new picture for ${Math.round((now - view.drawnAt) / 1000)} s.`;
}

startTheme();
fillHelp(byId('help-keys'), byId('help-pointing'));
bindActions((name, key) => run[name](key));
new Pointing(stage, byId('stage'), onStage);
new Crosshair(stage, byId('stage'), onStage);
setInterval(showTime, 500);
connection.open();
