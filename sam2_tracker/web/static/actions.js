// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// What can be done, each with its key; help, tooltips and the keyboard are made of this list.

/**
 * @typedef {{name: string, keys: string[], shown?: string, label: string}} Action
 * `keys` as KeyboardEvent.key has them, with Shift+ or Ctrl+ before them where those are held.
 */
export const ACTIONS = [
  {name: 'freeze', keys: [' '], shown: ['Space'], label: 'Freeze the picture, or go on live'},
  {name: 'add', keys: ['n', 'Escape'], shown: ['N', 'Esc'], label: 'Next click makes a new object'},
  {name: 'negative', keys: ['x'], label: 'Clicks take away from the object, or add'},
  {name: 'undo', keys: ['z', 'Ctrl+z'], shown: ['Z'], label: 'Take back the last prompt'},
  {name: 'hover', keys: ['h'], label: 'Show the mask that a click would select'},
  {name: 'pause', keys: ['p'], label: 'Pause tracking, or go on'},
  {name: 'number', keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'], shown: ['1', '…', '9'], label: 'Select an object of the list'},
  {name: 'previous', keys: ['['], label: 'Select the previous object'},
  {name: 'next', keys: [']'], label: 'Select the next object'},
  {name: 'rename', keys: ['r', 'F2'], shown: ['R', 'F2'], label: 'Label the selected object'},
  {name: 'remove', keys: ['Delete', 'Backspace'], shown: ['Del'], label: 'Remove the selected object'},
  {name: 'save', keys: ['s'], label: 'Save what is remembered of the objects'},
  {name: 'load', keys: ['o'], label: 'Load remembered objects'},
  {name: 'reset', keys: ['Shift+R'], shown: ['Shift', 'R'], label: 'Remove every object'},
  {name: 'zoom-in', keys: ['+', '='], shown: ['+'], label: 'Zoom in'},
  {name: 'zoom-out', keys: ['-'], label: 'Zoom out'},
  {name: 'zoom-reset', keys: ['0'], label: 'Show the whole picture'},
  {name: 'theme', keys: ['t'], label: 'Dark or light'},
  {name: 'help', keys: ['?', 'Shift+?'], shown: ['?'], label: 'Show all keys'},
];

/** The stage's own: they need the crosshair. */
export const CROSSHAIR_KEYS = [
  [['←', '→', '↑', '↓'], 'Move the crosshair; with Shift by one pixel'],
  [['Enter'], 'Click at the crosshair'],
  [['Shift', 'Enter'], 'Negative click'],
  [['B'], 'Begin a box at the crosshair; Enter ends it'],
];

const POINTING = [
  ['Click', 'New object, or refine the selected one'],
  ['Right button', 'Negative: not that. A click with Shift or Ctrl does it, too'],
  ['Drag', 'A box around the object'],
  ['Wheel', 'Zoom where the mouse is'],
  ['Middle button', 'Move the picture'],
  ['Tap, drag', 'As click and drag; Negative is a button'],
  ['Two fingers', 'Zoom and move the picture'],
  ['Green +, red −', 'On a frozen picture: what the selected object was pointed at with'],
];

/** Bind actions to keys and to the buttons that name them. */
export function bindActions(run) {
  const byKey = new Map(ACTIONS.flatMap((action) => action.keys.map((key) => [key, action])));
  document.addEventListener('keydown', (event) => {
    const isTyping = event.target.closest?.('input, dialog');
    // A button takes these itself.
    const isPressing = event.target.closest?.('button') && (event.key === ' ' || event.key === 'Enter');
    if (isTyping || isPressing || event.altKey || event.metaKey) return;
    const action = byKey.get(nameOf(event));
    if (!action || event.repeat) return;
    event.preventDefault();
    run(action.name, event.key);
  });
  for (const button of document.querySelectorAll('[data-action]')) {
    const {keys, shown, label, name} = ACTIONS.find((each) => each.name === button.dataset.action);
    button.title = `${label} (${(shown ?? keys).join(' ')})`;
    const text = button.querySelector('span')?.textContent;
    button.setAttribute('aria-label', text ? `${text}: ${label}` : label);
    button.addEventListener('click', () => run(name));
  }
}

function nameOf(event) {
  if (event.ctrlKey) return `Ctrl+${event.key.toLowerCase()}`;
  if (event.shiftKey && /^[a-z]$/i.test(event.key)) return `Shift+${event.key.toUpperCase()}`;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

/** Write the list of all keys. */
export function fillHelp(keys, pointing) {
  const rows = ACTIONS.map(({keys: all, shown, label}) => [shown ?? all.map((key) => key.toUpperCase()), label]);
  for (const [names, label] of [...rows, ...CROSSHAIR_KEYS]) addRow(keys, names.map(keyCap), label);
  for (const [name, label] of POINTING) addRow(pointing, [name], label);
}

function addRow(list, names, label) {
  const [row, term, text] = ['div', 'dt', 'dd'].map((each) => document.createElement(each));
  names.forEach((name, place) => term.append(place ? ' ' : '', name));
  text.textContent = label;
  row.append(term, text);
  list.append(row);
}

function keyCap(name) {
  const cap = document.createElement('kbd');
  cap.textContent = name;
  return cap;
}
