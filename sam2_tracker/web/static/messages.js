// Copyright 2026 The sam2_tracker authors
// SPDX-License-Identifier: Apache-2.0
// Messages of the server: a header (JSON) and what it announces, in bytes.

/**
 * Read a binary message.
 * @param {ArrayBuffer} buffer
 * @returns {{header: object, jpeg: Blob|null, labels: Labels|null}}
 */
export function readMessage(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length;
  const jpegBytes = header.jpeg || 0;
  const jpeg = jpegBytes ? new Blob([new Uint8Array(buffer, start, jpegBytes)], {type: 'image/jpeg'}) : null;
  const labels = header.labels ? readLabels(buffer.slice(start + jpegBytes), header.labels) : null;
  return {header, jpeg, labels};
}

/**
 * Which object each pixel belongs to.
 * @typedef {{width: number, height: number, ids: Uint16Array}} Labels
 */

/** Unfold runs of equal pixels: id and length, two bytes each, little-endian. */
export function readLabels(buffer, {width, height}) {
  const runs = new DataView(buffer);
  const ids = new Uint16Array(width * height);
  let place = 0;
  for (let offset = 0; offset < buffer.byteLength; offset += 4) {
    const end = place + runs.getUint16(offset + 2, true);
    const id = runs.getUint16(offset, true);
    if (id) ids.fill(id, place, end);
    place = end;
  }
  return {width, height, ids};
}

/** Return the first labels with those objects of the second that were asked about, in place of their old masks. */
export function mergedLabels(labels, newer, objectIds) {
  if (!labels || labels.width !== newer.width || labels.height !== newer.height) return newer;
  const asked = new Set(objectIds);
  const ids = labels.ids.map((id, place) => newer.ids[place] || (asked.has(id) ? 0 : id));
  return {...labels, ids};
}

/** Return labels without an object. */
export function labelsWithout(labels, objectId) {
  return labels && {...labels, ids: labels.ids.map((id) => (id === objectId ? 0 : id))};
}
