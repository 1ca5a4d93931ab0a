/** What the page says. All sentences come from the page itself; here they are only filled in. */

const said = JSON.parse(document.body.dataset.said);
const status = document.querySelector("#status");
const alertBox = document.querySelector("#alert");

export const setup = JSON.parse(document.body.dataset.setup);

/** Return a sentence, with its braces filled in. */
export function say(name, values = {}) {
  return said[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

/** Tell those who do not see the page what happened; politely. */
export function announce(text) {
  status.textContent = text;
}

/** Tell everybody what went wrong; with nothing, take it back. */
export function warn(text = "", hint = "") {
  alertBox.replaceChildren(...[text, hint].filter(Boolean).map((one) => {
    const line = document.createElement("p");
    line.textContent = one;
    return line;
  }));
}

/** Return a time that is left in round numbers. */
export function roughly(seconds) {
  const n = Math.max(1, Math.round(seconds));
  return n < 90 ? say("seconds", { n }) : say("minutes", { n: Math.round(n / 60) });
}
