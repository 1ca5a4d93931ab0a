"use strict";
const body = document.querySelector("tbody"), rows = [...body.rows];
const kind = document.getElementById("kind"), find = document.getElementById("find");
const left = document.getElementById("left");
const texts = rows.map((row) => row.textContent.toLowerCase());
const value = {
  name: (row) => row.cells[1].textContent,
  kind: (row) => row.dataset.kind,
  why: (row) => row.cells[5].textContent,
  says: (row) => row.cells[6].textContent,
  p: (row) => Number(row.dataset.p),
  faces: (row) => Number(row.dataset.faces),
};
const words = new Intl.Collator(undefined, { numeric: true });
let shown = rows, at = null;

function choose(row) {
  if (at) at.classList.remove("at");
  at = row;
  if (!row) return;
  row.classList.add("at");
  row.querySelector("a").focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function filter() {
  const asked = find.value.trim().toLowerCase();
  rows.forEach((row, n) => {
    const fits = !kind.value || row.dataset.kind === kind.value;
    row.hidden = !(fits && texts[n].includes(asked));
  });
  shown = [...body.rows].filter((row) => !row.hidden);
  left.textContent = shown.length === rows.length ? "" : `${shown.length} of ${rows.length}`;
  if (at && at.hidden) choose(null);
}

function sort(head) {
  const up = head.getAttribute("aria-sort") !== "ascending", read = value[head.dataset.by];
  for (const other of document.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const keyed = rows.map((row, n) => ({ row, n, key: read(row) }));
  const order = (a, b) => (typeof a === "number" ? a - b : words.compare(a, b));
  keyed.sort((a, b) => (up ? 1 : -1) * order(a.key, b.key) || a.n - b.n);
  body.append(...keyed.map((one) => one.row));
  filter();
}

for (const head of document.querySelectorAll("th[aria-sort]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  button.addEventListener("click", () => sort(head));
  head.append(button);
}
document.querySelector(".tools").hidden = false;
kind.addEventListener("change", filter);
find.addEventListener("input", filter);
body.addEventListener("focusin", (event) => choose(event.target.closest("tr")));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const typing = event.target === find || event.target === kind;
  if (event.key === "Escape") {
    find.value = kind.value = "";
    filter();
    document.activeElement.blur();
  } else if (event.key === "/" && !typing) {
    find.focus();
  } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target !== kind) {
    const step = event.key === "ArrowDown" ? 1 : -1, now = shown.indexOf(at);
    const next = now < 0 ? (step > 0 ? 0 : -1) : Math.min(shown.length - 1, Math.max(0, now + step));
    choose(shown.at(next) || null);
  } else if (event.key === "Enter" && event.target === find && shown.length) {
    choose(shown[0]);
  } else {
    return;
  }
  event.preventDefault();
});
