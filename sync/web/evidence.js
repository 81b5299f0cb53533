// The files a task kept, found in what it returned: pictures and clips are shown in place.
// Where a file is fetched from is for the page to say.

import { html } from "./dom.js";
import { bytes } from "./format.js";

const DEPTH_LIMIT = 4;
const FILES_LIMIT = 24;
const PICTURES = /^image\/(png|jpeg|gif|webp|avif)$/;
const CLIPS = /^video\/(mp4|webm)$/;

const isReference = (value) => value !== null && typeof value === "object"
  && typeof value.path === "string" && typeof value.media_type === "string";

/** Every evidence reference in an output: under any key, alone or in a list, each path once. */
export function evidenceIn(output) {
  const found = new Map();
  const walk = (value, depth) => {
    if (value === null || typeof value !== "object" || found.size >= FILES_LIMIT) return;
    if (isReference(value)) {
      found.set(value.path, {
        key: value.key ?? value.path, path: value.path, mediaType: value.media_type,
        sizeBytes: value.size_bytes, complete: true,
      });
    } else if (depth < DEPTH_LIMIT) {
      for (const item of Object.values(value)) walk(item, depth + 1);
    }
  };
  walk(output, 0);
  return [...found.values()];
}

const rank = (file) => (PICTURES.test(file.mediaType) ? 0 : CLIPS.test(file.mediaType) ? 1 : 2);

/** The files, pictures first, each `{key, mediaType, sizeBytes, url, complete, missing, held}`. */
export function Evidence({ files }) {
  return html`<div class="evidence">
    ${[...files].sort((a, b) => rank(a) - rank(b)).map((file) => html`<figure key=${file.url}>
      <${Picture} file=${file} />
      <figcaption>${file.complete
        ? html`<a href=${file.url} target="_blank" rel="noopener">${file.key}</a>`
        : html`<span>${file.key}</span>`}
        <span class="soft">${file.mediaType} · ${bytes(file.sizeBytes)}</span></figcaption>
    </figure>`)}
  </div>`;
}

function Picture({ file }) {
  if (file.missing) {
    return html`<p class="soft small">The device no longer had this file when it was to be sent.</p>`;
  }
  if (!file.complete) {
    return html`<p class="soft small">On its way: ${file.held ?? "part of it has arrived"}.</p>`;
  }
  if (PICTURES.test(file.mediaType)) {
    return html`<img src=${file.url} alt=${`Evidence ${file.key}`} loading="lazy" />`;
  }
  if (CLIPS.test(file.mediaType)) {
    return html`<video src=${file.url} controls muted preload="metadata"
      aria-label=${`Evidence ${file.key}`}></video>`;
  }
  return null;
}
