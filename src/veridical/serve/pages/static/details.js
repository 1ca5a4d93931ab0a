/** What is shown of one file: its answer, what is wrong with it, or how far it is. */

import { printable } from "./csv.js";

const place = document.querySelector("#shown");
let now = null;

/** Return the elements of a text that the service made: it has no script, and none would run. */
export function elements(html) {
  const made = document.createElement("template");
  made.innerHTML = html;
  return made.content;
}

/** Return why an item failed, without its name, which stands beside it. */
export function reason({ name, problem }) {
  const own = `${printable(name)}: `;
  const { message } = problem;
  return message.startsWith(own) ? message.slice(own.length) : message;
}

/** Show an item; `progress` says how far it is while it has no answer. */
export async function show(item, progress) {
  const same = now === item && place.dataset.state === item.state;
  now = item;
  if (same && item.state !== "done" && item.state !== "failed") {
    fill(place, progress);
    return;
  }
  if (same) return;
  place.dataset.state = item.state;
  if (item.state === "done") {
    const text = await item.html.text();
    if (now === item && item.state === "done") place.replaceChildren(elements(text).querySelector("article"));
    return;
  }
  const shown = document.querySelector(item.state === "failed" ? "#failure" : "#pending").content.cloneNode(true);
  shown.querySelector(".name").textContent = printable(item.name);
  if (item.state === "failed") {
    shown.querySelector(".why").textContent = reason(item);
    shown.querySelector(".hint").textContent = item.problem.hint;
  } else {
    fill(shown, progress);
    if (!item.clip) preview(shown.querySelector("img"), item.file);
  }
  place.replaceChildren(shown);
}

/** Show nothing. */
export function hide() {
  now = null;
  delete place.dataset.state;
  place.replaceChildren();
}

/** Put the keyboard, and the screen reader, on the answer. */
export function read() {
  place.querySelector("h2")?.focus({ preventScroll: true });
  place.closest(".details").scrollTo?.({ top: 0 });
}

/** Show the photo while it is judged, if the browser can read it. */
function preview(image, file) {
  const url = URL.createObjectURL(file);
  image.onerror = () => URL.revokeObjectURL(url);
  image.onload = () => {
    URL.revokeObjectURL(url);
    image.hidden = false;
  };
  image.src = url;
}

function fill(shown, { text, share }) {
  const bar = shown.querySelector("progress");
  shown.querySelector("h2").textContent = text;
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
}

place.addEventListener("input", ({ target }) => {
  if (!target.matches(".over-face")) return;
  target.closest(".map").querySelector(".over").style.opacity = String(target.value / 100);
});
