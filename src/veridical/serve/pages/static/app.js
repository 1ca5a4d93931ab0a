/** The page: takes files in, has them judged, shows the answers. Closing it forgets them. */

import { csv } from "./csv.js";
import * as details from "./details.js";
import { chosen, dropped, fromClipboard, isClip } from "./intake.js";
import { Queue } from "./queue.js";
import { announce, roughly, say, setup, warn } from "./say.js";
import { narrow, Table } from "./table.js";

const $ = (selector) => document.querySelector(selector);
const main = $("main");
const EACH = 3; // up to so many files, each answer is announced
const OFTEN_MS = 5000; // of more, how far it is

let current = null;
let announced = 0;

const table = new Table(open);
const queue = new Queue(setup.workers, changed, askToken);

// --- files come in -----------------------------------------------------------------------------

function take({ found, passedOver }) {
  const said = [];
  if (passedOver) said.push(say(passedOver === 1 ? "passed_over_one" : "passed_over", { n: passedOver }));
  if (!found.length && !passedOver) said.push(say("nothing"));
  warn(...said);
  if (!found.length) return;
  announce(say(found.length === 1 ? "added_one" : "added", { n: found.length }));
  for (const { file, name } of found) {
    const item = { file, name, clip: isClip(file), options: wishes() };
    table.add(item);
    queue.add(item);
    if (!current) open(item, false);
  }
  layOut();
}

function wishes() {
  const wishes = {};
  if ($("#whole").checked) wishes.whole_image = "true";
  if ($("#prior").value) wishes.prior = $("#prior").value;
  return wishes;
}

$("#choose-folder").hidden = !("webkitdirectory" in $("#folder")); // as on some phones
for (const [button, input] of [["#choose", "#files"], ["#choose-folder", "#folder"]]) {
  $(button).addEventListener("click", () => $(input).click());
  $(input).addEventListener("change", ({ target }) => {
    take(chosen(target.files));
    target.value = ""; // the same file may be chosen again
  });
}

document.addEventListener("paste", (event) => {
  const found = fromClipboard(event.clipboardData);
  if (!found.length) return; // text into a field
  event.preventDefault();
  take({ found, passedOver: 0 });
});

const curtain = $(".curtain");
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  curtain.hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) curtain.hidden = true;
});
document.addEventListener("drop", async (event) => {
  curtain.hidden = true;
  if (!carriesFiles(event)) return;
  event.preventDefault();
  take(await dropped(event.dataTransfer));
});

// --- answers come back -------------------------------------------------------------------------

function changed(item) {
  if (!queue.items.includes(item)) return; // it is forgotten
  if (item.state === "done" && item.parsed) learn(item);
  else if (item.state === "failed") learnFailure(item);
  else if (item.kind) unlearn(item);
  const progress = progressOf(item);
  table.update(item, progress);
  if (item === current) details.show(item, progress);
  if (item.state === "done" || item.state === "failed") tell(item);
  layOut();
}

/** Keep what the table needs of an answer; the rest stays in its blob. */
function learn(item) {
  const row = details.elements(item.parsed).querySelector("tr[data-kind]");
  delete item.parsed;
  const { kind, p, faces, why, says, values } = row.dataset;
  Object.assign(item, { kind, why, says, p: Number(p), faces: Number(faces) });
  item.cells = [...row.cells];
  item.values = JSON.parse(values);
  item.answer = row.querySelector('[data-cell="kind"]').textContent.trim();
}

function learnFailure(item) {
  const mark = $("#failure").content.querySelector("h2");
  const cell = document.createElement("td");
  cell.dataset.cell = "kind";
  const word = document.createElement("span");
  word.textContent = setup.kinds[setup.failed];
  cell.append(mark.querySelector("svg").cloneNode(true), " ", word);
  const { message } = item.problem;
  const known = { path: item.name, decision: setup.failed, error: message, next_step: item.problem.hint };
  Object.assign(item, {
    kind: setup.failed,
    why: details.reason(item),
    says: "",
    cells: [cell],
    answer: word.textContent,
    values: setup.columns.map((column) => known[column] ?? null),
  });
}

function unlearn(item) {
  for (const name of ["kind", "why", "says", "p", "faces", "cells", "values", "answer"]) delete item[name];
}

function progressOf(item) {
  const seconds = Math.round((Date.now() - item.since) / 1000);
  switch (item.state) {
    case "waiting":
      return { text: say("waiting"), share: 0 };
    case "sending":
      return { text: say("sending", { percent: Math.round(100 * item.sent) }), share: item.sent };
    case "busy":
      return { text: say("busy", { seconds: Math.max(1, Math.ceil((item.until - Date.now()) / 1000)) }), share: 0 };
    case "judging":
      if (item.stage === "queued") return { text: say("queued"), share: 0 };
      if (item.stage === "searching" && item.judged !== null) {
        return { text: say("searching", { percent: Math.round(100 * item.judged) }), share: item.judged };
      }
      return item.judged === null
        ? { text: say("judging", { seconds }), share: null }
        : { text: say("percent", { percent: Math.round(100 * item.judged) }), share: item.judged };
    default:
      return null;
  }
}

function tell(item) {
  const total = queue.items.length;
  const { done } = queue;
  const now = Date.now();
  if (done === total && total > EACH) announce(say("finished", { total }));
  else if (total <= EACH) announce(say("answered", { name: item.name, answer: item.answer }));
  else if (now - announced > OFTEN_MS) announce(say("done", { done, total }));
  else return;
  announced = now;
}

// --- what is seen ------------------------------------------------------------------------------

function layOut() {
  const { length } = queue.items;
  main.dataset.state = length ? (length > 1 ? "many" : "one") : "empty";
  $("#results").hidden = !length;
  $(".queue").hidden = !queue.busy;
  document.title = document.title.replace(/^\(.*?\) /, "");
  if (!queue.busy) return;
  const { done, left } = queue;
  const parts = [say("done", { done, total: length })];
  if (left !== null && length - done > 0) parts.push(say("left", { time: roughly(left) }));
  $("#progress-text").textContent = parts.join(" · ");
  $("#progress").value = queue.share;
  document.title = `(${done}/${length}) ${document.title}`;
}

setInterval(() => { // seconds pass
  if (!queue.busy) return;
  for (const item of queue.items) if (item.state === "judging" || item.state === "busy") table.update(item, progressOf(item));
  if (current && !current.kind) details.show(current, progressOf(current));
  layOut();
}, 500);

/** Show an item; if it is to be read, go there: on a narrow screen the list makes room. */
async function open(item, toRead) {
  current = item;
  table.choose(item);
  await details.show(item, progressOf(item));
  if (toRead) read();
}

function read() {
  main.dataset.view = "details";
  if (narrow.matches) $(".details").scrollIntoView();
  details.read();
}

function backToList() {
  main.dataset.view = "list";
  table.focus();
}

$("#back").addEventListener("click", backToList);
$(".details").addEventListener("keydown", (event) => {
  if (event.key === "Escape" && main.dataset.state === "many") backToList();
});

// --- what the visitor does ---------------------------------------------------------------------

$("#shown").addEventListener("click", ({ target }) => {
  const deed = target.closest("[data-do]")?.dataset.do;
  if (deed === "again") queue.again(current);
  if (deed === "report") keep(`${stem(current.name)}.json`, "application/json", JSON.stringify(current.report, null, 1));
});
$("#stop").addEventListener("click", () => queue.stop());
$("#save").addEventListener("click", () => {
  const { shown } = table;
  const rows = shown.filter((item) => item.values).map((item) => item.values);
  keep("veridical.csv", "text/csv", csv(setup.columns, rows));
  if (rows.length < shown.length) warn(say("saved_part", { done: rows.length, total: shown.length }));
  else announce(say("saved"));
});
$("#forget").addEventListener("click", () => {
  queue.clear();
  table.clear();
  details.hide();
  current = null;
  delete main.dataset.view;
  warn();
  layOut();
  announce(say("forgotten"));
  $("#choose").focus();
});
addEventListener("beforeunload", (event) => {
  if (queue.busy) event.preventDefault();
});

const stem = (name) => name.replace(/^.*[/\\]/, "").replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "-") || "report";

function keep(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Ask for a token; null if there is none. It stays in memory, and only there. */
function askToken(wrong) {
  const dialog = $("#token");
  const form = dialog.querySelector("form");
  dialog.querySelector(".wrong").textContent = wrong ? say("no_token") : "";
  form.reset();
  dialog.showModal();
  return new Promise((resolve) => {
    const done = new AbortController();
    const { signal } = done;
    const end = (value) => {
      done.abort();
      if (dialog.open) dialog.close();
      form.reset();
      resolve(value);
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = form.elements.token.value.trim();
      if (given) end(given);
    }, { signal });
    form.querySelector('[data-do="cancel"]').addEventListener("click", () => end(null), { signal });
    dialog.addEventListener("close", () => end(null), { signal });
  });
}
