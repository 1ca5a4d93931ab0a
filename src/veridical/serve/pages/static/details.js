/** What is shown of one file: its answer, what is wrong with it, or how far it is. */

import { printable } from "./csv.js";

const place = document.querySelector("#shown");
let now = null;
let shown = null; // settles when the answer of `now` is to be seen

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
  const { state } = item;
  now = item;
  if (!same) place.dataset.state = state;
  if (state === "done") {
    if (!same) shown = answer(item);
    await shown;
    return;
  }
  place.ariaBusy = false;
  if (!same) place.replaceChildren(state === "failed" ? failure(item) : pending(item));
  if (state !== "failed") fill(progress);
}

/** Replace what is shown by an answer; until that is read, what was there stays. */
async function answer(item) {
  place.ariaBusy = true;
  const text = await item.html.text();
  if (now !== item || item.state !== "done") return;
  place.replaceChildren(elements(text).querySelector("article"));
  place.ariaBusy = false;
}

function failure(item) {
  const made = document.querySelector("#failure").content.cloneNode(true);
  made.querySelector(".name").textContent = printable(item.name);
  made.querySelector(".why").textContent = reason(item);
  made.querySelector(".hint").textContent = item.problem.hint;
  return made;
}

function pending(item) {
  const made = document.querySelector("#pending").content.cloneNode(true);
  made.querySelector(".name").textContent = printable(item.name);
  if (!item.clip) preview(made.querySelector("img"), item.file);
  return made;
}

/** Show nothing. */
export function hide() {
  now = null;
  delete place.dataset.state;
  place.ariaBusy = false;
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

function fill({ text, share }) {
  const bar = place.querySelector("progress");
  place.querySelector("h2").textContent = text;
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
}

place.addEventListener("input", ({ target }) => {
  if (!target.matches(".over-face")) return;
  target.closest(".map").querySelector(".over").style.opacity = String(target.value / 100);
});
