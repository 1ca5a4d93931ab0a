/** The queue: a few files at a time are sent and judged, the others wait. */

import { say } from "./say.js";
import { Busy, judge, NeedsToken, Problem } from "./send.js";

/**
 * @typedef {object} Item One file and what became of it.
 * @property {File} file
 * @property {string} name
 * @property {boolean} clip
 * @property {object} options Of the request.
 * @property {"waiting"|"sending"|"judging"|"busy"|"done"|"failed"} state
 * @property {number} sent Share that is sent.
 * @property {?number} judged Share that is judged, where the service tells.
 * @property {string=} stage Of a clip: "queued", "searching" or "judging", where the service tells.
 * @property {number} since When its state began, ms.
 * @property {?Blob} html What the page shows of it. A blob, so that thousands of them stay cheap.
 * @property {?object} report
 * @property {?Problem} problem
 */

export class Queue {
  /** All items, in the order in which they came. */
  items = [];
  #free;
  #pausedUntil = 0;
  #timer = 0;
  #token = "";
  #asking = null;
  #stops = new Map();
  #spent = [];

  /**
   * @param {number} workers How many items at a time.
   * @param {(item: Item) => void} changed Hears of every change.
   * @param {(wrong: boolean) => Promise<?string>} askToken Asks the visitor; null if there is none.
   */
  constructor(workers, changed, askToken) {
    this.#free = workers;
    this.workers = workers;
    this.changed = changed;
    this.askToken = askToken;
  }

  add(item) {
    Object.assign(item, { state: "waiting", sent: 0, judged: null, since: Date.now(), html: null, report: null, problem: null });
    this.items.push(item);
    this.changed(item);
    this.#pump();
  }

  /** Judge an item that failed again. */
  again(item) {
    item.problem = null;
    this.#put(item, "waiting");
    this.#pump();
  }

  /** Stop all work, and say so of every item that was not done. */
  stop() {
    const problem = () => new Problem(0, say("stopped"), say("stopped_hint"));
    for (const stop of this.#stops.values()) stop.abort(problem());
    for (const item of this.items) if (item.state === "waiting" || item.state === "busy") this.#fail(item, problem());
  }

  /** Forget everything. */
  clear() {
    const items = this.items;
    this.items = [];
    for (const item of items) this.#stops.get(item)?.abort(new Problem(0, say("stopped"), ""));
  }

  get busy() {
    return this.items.some((item) => item.state !== "done" && item.state !== "failed");
  }

  get done() {
    return this.items.filter((item) => item.state === "done" || item.state === "failed").length;
  }

  /** Share of all work that is done; what is sent is not judged, and counts for nothing yet. */
  get share() {
    const of = { judging: (item) => item.judged ?? 0, done: () => 1, failed: () => 1 };
    const sum = this.items.reduce((total, item) => total + (of[item.state]?.(item) ?? 0), 0);
    return this.items.length ? sum / this.items.length : 0;
  }

  /** Seconds until all is done, by the time that the last ones took; null while nobody knows. */
  get left() {
    if (!this.#spent.length) return null;
    const mean = this.#spent.reduce((a, b) => a + b, 0) / this.#spent.length;
    return ((this.items.length - this.done) * mean) / this.workers / 1000;
  }

  #pump() {
    clearTimeout(this.#timer);
    if (this.#asking) return;
    const wait = this.#pausedUntil - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => this.#pump(), wait);
      return;
    }
    const next = this.items.filter((item) => item.state === "waiting" || item.state === "busy");
    for (const item of next.slice(0, this.#free)) this.#judge(item);
  }

  async #judge(item) {
    const stop = new AbortController();
    const began = Date.now();
    this.#free -= 1;
    this.#stops.set(item, stop);
    this.#put(item, "sending");
    const token = this.#token;
    try {
      const { report, html } = await judge(item, token, (step) => this.#step(item, step), stop.signal);
      item.report = report;
      item.html = new Blob([html]);
      item.parsed = html;
      this.#spent = [...this.#spent.slice(-9), Date.now() - began];
      this.#put(item, "done");
    } catch (error) {
      if (error instanceof Busy) this.#comeBack(item, error.seconds);
      else if (error instanceof NeedsToken) this.#ask(item, token);
      else this.#fail(item, error instanceof Problem ? error : new Problem(0, String(error), ""));
    } finally {
      this.#free += 1;
      this.#stops.delete(item);
      this.#pump();
    }
  }

  #step(item, { sent, judged, stage }) {
    item.stage = stage;
    if (sent !== undefined) {
      item.sent = sent;
      this.changed(item);
    } else if (item.state === "judging") {
      item.judged = judged;
      this.changed(item);
    } else {
      item.judged = judged;
      this.#put(item, "judging");
    }
  }

  #comeBack(item, seconds) {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + 1000 * seconds);
    item.until = this.#pausedUntil;
    this.#put(item, "busy");
  }

  async #ask(item, tried) {
    this.#put(item, "waiting");
    if (this.#asking || tried !== this.#token) return; // somebody asked already
    this.#asking = this.askToken(Boolean(tried));
    const token = await this.#asking;
    this.#asking = null;
    if (token) this.#token = token;
    else this.stop();
    this.#pump();
  }

  #fail(item, problem) {
    item.problem = problem;
    this.#put(item, "failed");
  }

  #put(item, state) {
    item.state = state;
    item.since = Date.now();
    if (state === "waiting" || state === "sending") item.sent = 0;
    this.changed(item);
  }
}
