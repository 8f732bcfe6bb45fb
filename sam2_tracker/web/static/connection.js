// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// The WebSocket: one page's talk with the server, begun anew whenever it ends.

import {readMessage} from './messages.js';

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;
const WRONG_TOKEN = 4401;
const TOKEN = 'sam2-tracker-console-token';
const LONGEST_TOKEN = 256;

/** Without an answer: it may have been done or not. */
export class NoAnswer extends Error {}

export class Connection {
  #socket = null;
  #waiting = new Map();
  #number = 0;
  #wait_ms = FIRST_WAIT_MS;
  #on;

  /**
   * @param {{frame, status, welcome, away, tokenWanted}} on called with what comes
   */
  constructor(on) {
    this.#on = on;
    takeToken();
    // Typed behind the address of a page that is open, it loads nothing by itself.
    addEventListener('hashchange', () => { if (takeToken()) location.reload(); });
  }

  open() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/stream`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.#send({do: 'hello', token: sessionStorage.getItem(TOKEN) || ''});
    socket.onmessage = (event) => this.#take(event.data);
    socket.onclose = (event) => this.#closed(event);
    this.#socket = socket;
  }

  useToken(token) {
    keepToken(token);
    this.open();
  }

  /** Say that a picture was drawn: the next may come. */
  acknowledge() { this.#send({do: 'ack'}); }

  /**
   * Ask for something, once.
   * @returns {Promise<{header: object, labels: object|null}>} rejected with NoAnswer if none comes
   */
  ask(what, fields = {}) {
    const number = ++this.#number;
    if (!this.#send({do: what, n: number, ...fields})) {
      return Promise.reject(new NoAnswer('the console is away: nothing was sent'));
    }
    return new Promise((resolve, reject) => this.#waiting.set(number, {resolve, reject}));
  }

  #send(message) {
    const isOpen = this.#socket?.readyState === WebSocket.OPEN;
    if (isOpen) this.#socket.send(JSON.stringify(message));
    return isOpen;
  }

  #take(data) {
    const message = typeof data === 'string' ? {header: JSON.parse(data), labels: null} : readMessage(data);
    const {kind, to} = message.header;
    if (kind === 'reply') {
      this.#waiting.get(to)?.resolve(message);
      this.#waiting.delete(to);
      return;
    }
    if (kind === 'welcome') this.#wait_ms = FIRST_WAIT_MS;
    this.#on[kind]?.(message.header, message);
  }

  #closed(event) {
    for (const {reject} of this.#waiting.values()) {
      reject(new NoAnswer('the connection broke before the answer: it is not sent again, the list shows what is tracked'));
    }
    this.#waiting.clear();
    if (event.code === WRONG_TOKEN) {
      sessionStorage.removeItem(TOKEN);
      this.#on.tokenWanted();
      return;
    }
    this.#on.away(event.reason || 'the console does not answer');
    setTimeout(() => this.open(), this.#wait_ms);
    this.#wait_ms = Math.min(this.#wait_ms * 1.6, LONGEST_WAIT_MS);
  }
}

/** Take a token out of the address, where a history would keep it; tell whether there was one. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!given) return false;
  keepToken(given);
  history.replaceState(null, '', location.pathname);
  return true;
}

// A longer one is wrong as well, and would be taken for no page's message.
function keepToken(token) { sessionStorage.setItem(TOKEN, token.slice(0, LONGEST_TOKEN)); }
