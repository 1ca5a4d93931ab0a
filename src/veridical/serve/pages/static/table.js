/** The table of the batch: a row for each file, which can be sorted, filtered and walked through. */

import { printable } from "./csv.js";
import { announce, say, setup } from "./say.js";

const template = document.querySelector("#row");
const body = document.querySelector(".batch tbody");
const chips = [...document.querySelectorAll(".chips button")];
const heads = [...document.querySelectorAll("th[data-by]")];
const find = document.querySelector("#find");
const none = document.querySelector(".none");
export const narrow = matchMedia("(max-width: 63.99rem)"); // then either the list is seen or an answer
const collator = new Intl.Collator(undefined, { numeric: true });
const KINDS = ["ai", "undecided", "real", setup.failed, ""];
const VALUES = {
  name: (item) => item.name,
  kind: (item) => KINDS.indexOf(item.kind ?? ""),
  p: (item) => item.p ?? -1,
  why: (item) => item.why ?? "",
  says: (item) => item.says ?? "",
  faces: (item) => item.faces ?? -1,
};

export class Table {
  #rows = new Map();
  #items = new WeakMap();
  #show = "";
  #current = null;

  /** @param {(item: object, read: boolean) => void} open Shows an item; `read`: and goes there. */
  constructor(open) {
    this.open = open;
    for (const chip of chips) chip.addEventListener("click", () => this.#filter(chip.dataset.show));
    for (const head of heads) head.querySelector("button").addEventListener("click", () => this.#sort(head));
    find.addEventListener("input", () => this.#filter(this.#show));
    body.addEventListener("click", (event) => {
      const item = this.#itemOf(event.target.closest("tr"));
      if (!item) return;
      this.#button(item).focus({ preventScroll: true });
      this.open(item, event.detail === 0 || narrow.matches); // a mouse need not go to the answer
    });
    body.addEventListener("keydown", (event) => this.#walk(event));
  }

  add(item) {
    const row = template.content.firstElementChild.cloneNode(true);
    row.querySelector("th.name button").textContent = printable(item.name);
    row.querySelector("th.name button").title = printable(item.name);
    row.querySelector("th.name button").tabIndex = this.#rows.size ? -1 : 0;
    this.#rows.set(item, row);
    this.#items.set(row, item);
    row.hidden = !this.#fits(item);
    body.append(row);
  }

  clear() {
    this.#rows.clear();
    body.replaceChildren();
    this.#current = null;
    find.value = "";
    this.#filter("");
  }

  /** Show what is known of an item. */
  update(item, progress) {
    const row = this.#rows.get(item);
    if (!row) return;
    const small = row.querySelector("th.name small");
    row.dataset.state = item.state;
    row.dataset.kind = item.kind ?? "";
    small.textContent = progress?.text ?? item.why ?? "";
    if (progress) {
      this.#bar(row, progress.share);
    } else if (item.cells && row.dataset.filled !== item.state) {
      for (const cell of item.cells) {
        const own = row.querySelector(`.${cell.dataset.cell}`);
        own.replaceChildren(...cell.cloneNode(true).childNodes);
      }
      row.dataset.filled = item.state;
    }
    this.#count();
    row.hidden = !this.#fits(item);
  }

  /** Mark the item that is shown. */
  choose(item) {
    this.#mark(this.#current, false);
    this.#current = item;
    this.#mark(item, true);
    this.#focusable();
  }

  /** Put the keyboard on the item that is shown. */
  focus() {
    this.#button(this.#current)?.focus();
  }

  /** Items in the order and the choice of the table. */
  get shown() {
    return [...body.rows].filter((row) => !row.hidden).map((row) => this.#itemOf(row));
  }

  #bar(row, share) {
    const cell = row.querySelector(".kind");
    let bar = cell.querySelector("progress");
    if (!bar) {
      bar = document.querySelector("#bar").content.firstElementChild.cloneNode(true);
      bar.setAttribute("aria-label", row.querySelector("th.name button").textContent);
      cell.replaceChildren(bar);
      delete row.dataset.filled;
    }
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
  }

  #mark(item, is) {
    const row = this.#rows.get(item);
    if (!row) return;
    row.classList.toggle("at", is);
    if (is) this.#button(item).setAttribute("aria-current", "true");
    else this.#button(item).removeAttribute("aria-current");
    if (is) row.scrollIntoView({ block: "nearest" });
  }

  /** One row is in the tab order: with hundreds of them nobody would get past the table. */
  #focusable() {
    const shown = this.shown;
    const at = shown.includes(this.#current) ? this.#current : shown[0];
    for (const item of this.#rows.keys()) this.#button(item).tabIndex = item === at ? 0 : -1;
  }

  #walk(event) {
    const shown = this.shown;
    const at = shown.indexOf(this.#itemOf(event.target.closest("tr")));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1, PageDown: at + 10, PageUp: at - 10 }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const item = shown[Math.min(Math.max(to, 0), shown.length - 1)];
    this.open(item, false);
    this.#button(item).focus();
  }

  #sort(head) {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.setAttribute("aria-sort", other === head ? (up ? "ascending" : "descending") : "none");
    const read = VALUES[head.dataset.by];
    const keyed = [...this.#rows.keys()].map((item, n) => ({ item, n, key: read(item), p: item.p ?? -1 }));
    const order = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
    const ties = head.dataset.by === "kind" ? (a, b) => b.p - a.p : () => 0;
    keyed.sort((a, b) => (up ? 1 : -1) * order(a.key, b.key) || ties(a, b) || a.n - b.n);
    body.append(...keyed.map(({ item }) => this.#rows.get(item)));
    this.#focusable();
    announce(say("sorted", { column: head.textContent.trim() }));
  }

  #filter(kind) {
    this.#show = kind;
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.show === kind));
    for (const [item, row] of this.#rows) row.hidden = !this.#fits(item);
    const shown = this.shown;
    none.hidden = shown.length > 0 || !this.#rows.size;
    this.#focusable();
    if (this.#rows.size) announce(say("shown", { n: shown.length, total: this.#rows.size }));
  }

  #fits(item) {
    const asked = find.value.trim().toLowerCase();
    return (!this.#show || item.kind === this.#show) && item.name.toLowerCase().includes(asked);
  }

  #count() {
    const counts = { "": this.#rows.size };
    for (const item of this.#rows.keys()) if (item.kind) counts[item.kind] = (counts[item.kind] ?? 0) + 1;
    for (const chip of chips) {
      const count = counts[chip.dataset.show] ?? 0;
      chip.querySelector("b").textContent = String(count);
      chip.hidden = !count && chip.dataset.show !== this.#show;
    }
  }

  #itemOf(row) {
    return this.#items.get(row) ?? null;
  }

  #button(item) {
    return this.#rows.get(item)?.querySelector("th.name button");
  }
}
