/** Talks to the service: one photo or one clip up, one answer down. */

import { say, setup } from "./say.js";

const POLL_MS = 700;
const MOST_MISSES = 5;
const RETRY_S = 2; // where the service does not say when to come back
const LONGEST_RETRY_S = 60;

/** What went wrong, in the service's own words: `error`, `hint`, and the status. */
export class Problem extends Error {
  constructor(status, error, hint) {
    super(error);
    this.status = status;
    this.hint = hint;
  }
}

/** The service has no place for one more now: come back in `seconds`. */
export class Busy extends Error {
  constructor(seconds) {
    super("busy");
    this.seconds = seconds;
  }
}

/** The service wants a token, or another one. */
export class NeedsToken extends Error {}

/**
 * Judge a file.
 * @param {{file: File, name: string, clip: boolean, options: object}} item
 * @param {string} token What to show the service; empty for nothing.
 * @param {(step: {sent?: number, judged?: number|null}) => void} tell Hears of every step.
 * @param {AbortSignal} signal
 * @returns {Promise<{report: object, html: string}>}
 */
export async function judge(item, token, tell, signal) {
  const { file } = item;
  if (file.size > setup.maxBytes && !item.clip) {
    const [mib, most] = [file.size, setup.maxBytes].map((n) => Math.ceil(n / 2 ** 20));
    throw new Problem(413, say("too_large", { mib, most }), say("too_large_hint"));
  }
  await readable(file);
  const asked = new URLSearchParams({ ...item.options, name: item.name });
  if (!item.clip) return post(`page/inspect?${asked}`, file, token, tell, signal);
  asked.delete("whole_image"); // of photos only
  asked.set("page", "true");
  asked.set("explain", "true");
  const job = await post(`v1/videos?${asked}`, file, token, tell, signal);
  const url = `v1/jobs/${encodeURIComponent(job.id)}`;
  try {
    return await follow(url, token, tell, signal);
  } finally { // the service need not keep what the page has, or nobody wants
    fetch(url, { method: "DELETE", headers: headers(token), keepalive: true }).catch(() => {});
  }
}

/** Ask for a job until it is done. */
async function follow(url, token, tell, signal) {
  for (let misses = 0; ;) {
    let job;
    try {
      const response = await reached(fetch(url, { headers: headers(token), signal, cache: "no-store" }), signal);
      job = parsed(response.status, await response.text(), (name) => response.headers.get(name));
      misses = 0;
    } catch (error) { // the clip is there: a question that was not answered is asked again
      const passing = error instanceof Busy || (error instanceof Problem && [0, 502, 503, 504].includes(error.status));
      if (signal.aborted || !passing || ++misses > MOST_MISSES) throw error;
      await pause(1000 * (error.seconds ?? misses), signal);
      continue;
    }
    if (job.state === "done") return job;
    if (job.error || job.state === "failed") throw new Problem(job.status ?? 422, job.error, job.hint);
    tell({ judged: typeof job.progress === "number" ? job.progress : null, stage: job.stage ?? job.state });
    await pause(POLL_MS, signal);
  }
}

/** Send a body, and hear how much of it is sent: `fetch` does not tell. */
function post(url, body, token, tell, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("POST", url);
    for (const [name, value] of Object.entries(headers(token))) request.setRequestHeader(name, value);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => tell({ sent: total ? loaded / total : 1 });
    request.upload.onload = () => tell({ judged: null });
    request.onload = () => {
      try {
        resolve(parsed(request.status, request.responseText, (name) => request.getResponseHeader(name)));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    request.send(body);
  });
}

function headers(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Return what the service answered, or throw what it says is wrong. */
function parsed(status, text, header) {
  if (status === 401) throw new NeedsToken();
  if (status === 429) throw new Busy(after(header("Retry-After")));
  let told = null;
  try {
    told = JSON.parse(text);
  } catch {
    // A proxy, say, that speaks HTML.
  }
  if (told && status < 300) return told;
  if (told && typeof told.error === "string") throw new Problem(status, told.error, told.hint ?? "");
  throw new Problem(status, say("broken", { status }), say("broken_hint"));
}

/** Return the seconds of a Retry-After, which may be a date. */
function after(value) {
  const seconds = Number(value ?? "") || (Date.parse(value ?? "") - Date.now()) / 1000 || RETRY_S;
  return Math.min(Math.max(seconds, 0.5), LONGEST_RETRY_S);
}

async function reached(response, signal) {
  try {
    return await response;
  } catch (error) {
    throw signal.aborted ? signal.reason : unreachable();
  }
}

/** A file may be gone by now, or be a folder that was dropped: a request would only say "failed". */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Problem(0, say("unreadable"), say("unreadable_hint"));
  }
}

function unreachable() {
  return new Problem(0, say("unreachable"), say("unreachable_hint"));
}

/** Wait, unless it is no longer wanted. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const done = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(done); reject(signal.reason); }, { once: true });
  });
}
