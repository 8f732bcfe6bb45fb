// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// Questions to the operator, and dark or light.

const THEME = 'sam2-tracker-console-theme';

const byId = (id) => document.getElementById(id);

/**
 * Ask for a name, or whether something is meant.
 * @param {{title, text, yes, name?, value?, isSecret?}} question with `name` there is something to type
 * @returns {Promise<string|null>} what was typed, '' if there was nothing to type, null for no
 */
export function ask({title, text, yes, name = '', value = '', isSecret = false}) {
  const dialog = byId('ask');
  byId('ask-title').textContent = title;
  byId('ask-text').textContent = text;
  byId('ask-name').textContent = name;
  byId('ask-field').hidden = !name;
  byId('ask-yes').textContent = yes;
  const input = byId('ask-input');
  input.type = isSecret ? 'password' : 'text';
  input.value = value;
  return new Promise((resolve) => {
    const end = (answer) => {
      dialog.onclose = null;
      dialog.close();
      resolve(answer);
    };
    byId('ask-no').onclick = () => end(null);
    dialog.onclose = () => end(null);
    dialog.querySelector('form').onsubmit = (event) => {
      event.preventDefault();
      if (!name || input.value.trim()) end(input.value.trim());
    };
    dialog.showModal();
    (name ? input : byId('ask-yes')).focus();
  });
}

/** Show or hide the list of keys. */
export function toggleHelp() {
  const dialog = byId('help');
  if (dialog.open) dialog.close();
  else dialog.showModal();
  byId('help-close').onclick = () => dialog.close();
  dialog.onkeydown = (event) => { if (event.key === '?') dialog.close(); };
}

/** Take the theme that was chosen here before, or the system's. */
export function startTheme() {
  const system = matchMedia('(prefers-color-scheme: light)');
  const apply = () => {
    const chosen = localStorage.getItem(THEME);
    document.documentElement.dataset.theme = chosen ?? (system.matches ? 'light' : 'dark');
  };
  system.addEventListener('change', apply);
  apply();
}

/** Change from dark to light, or back. */
export function switchTheme() {
  const {dataset} = document.documentElement;
  dataset.theme = dataset.theme === 'light' ? 'dark' : 'light';
  localStorage.setItem(THEME, dataset.theme);
}
