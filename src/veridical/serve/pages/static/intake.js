/** Files from wherever they come: dropped, pasted, chosen; folders are walked through. */

import { say, setup } from "./say.js";

const PHOTOS = new Set(setup.photos);
const CLIPS = new Set(setup.clips);
let pasted = 0;

const ending = (name) => (name.match(/\.[^./\\]+$/)?.[0] ?? "").toLowerCase();

/** Return whether a file is a clip, by what the browser knows of it. */
export function isClip(file) {
  return file.type.startsWith("video/") || CLIPS.has(ending(file.name));
}

/** Return the files of a choice, as {file, name}, and how many of a folder were passed over. */
export function chosen(list) {
  const found = [...list].map((file) => ({ file, name: file.webkitRelativePath || file.name }));
  return list[0]?.webkitRelativePath ? sifted(found) : { found, passedOver: 0 };
}

/** Return the files of a drop; folders are walked through. */
export async function dropped(transfer) {
  // Entries have to be taken at once: after the first wait the browser takes them back.
  const entries = [...transfer.items].filter((one) => one.kind === "file").map((one) => [one.webkitGetAsEntry(), one.getAsFile()]);
  const found = [];
  let passedOver = 0;
  for (const [entry, file] of entries) {
    if (!entry?.isDirectory) {
      if (file) found.push({ file, name: file.name });
      continue;
    }
    const below = sifted(await walked(entry));
    found.push(...below.found);
    passedOver += below.passedOver;
  }
  return { found, passedOver };
}

/** Return the files of a paste; pictures without a name of their own get one. */
export function fromClipboard(data) {
  return [...data.files].map((file) => {
    const own = file.name && !/^image\.\w+$/.test(file.name);
    const kind = (file.type.split("/")[1] ?? "png").replace(/\W.*/, "");
    return { file, name: own ? file.name : say("pasted", { n: ++pasted, ending: kind }) };
  });
}

/** In a folder there are other files too. Who drops a single file wants to hear of that one. */
function sifted(all) {
  const hidden = ({ name }) => name.split("/").some((part) => part.startsWith("."));
  const wanted = ({ file }) => PHOTOS.has(ending(file.name)) || CLIPS.has(ending(file.name)) || /^(image|video)\//.test(file.type);
  const found = all.filter((one) => wanted(one) && !hidden(one));
  return { found, passedOver: all.length - found.length };
}

async function walked(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file ? [{ file, name: entry.fullPath.replace(/^\//, "") }] : [];
  }
  const reader = entry.createReader();
  const children = [];
  for (;;) { // a reader gives a hundred at a time
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) break;
    children.push(...some);
  }
  const order = new Intl.Collator(undefined, { numeric: true });
  children.sort((a, b) => order.compare(a.name, b.name));
  const found = [];
  for (const child of children) found.push(...(await walked(child)));
  return found;
}
