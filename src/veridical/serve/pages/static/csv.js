/** The table as a CSV file, with the columns and the rules of the command line (present/table.py). */

const GUARDED = "=+-@\t\r＝＋－＠'"; // spreadsheets run what begins so

/** Return a CSV file's text: RFC 4180, with a byte order mark for Excel. */
export function csv(columns, rows) {
  const lines = [columns, ...rows].map((row) => row.map((value) => quoted(cell(value))).join(","));
  return `\ufeff${lines.join("\r\n")}\r\n`;
}

/** Return a value as a cell: numbers as they are, text that no program runs. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = printable(value);
  const first = [...value.trimStart()][0] ?? "";
  return (first && GUARDED.includes(first)) || isNumber(text) ? `'${text}` : text;
}

/** Escape every character that does not show as itself. */
export function printable(text) {
  return text.replace(/[\p{C}\p{Z}]/gu, (one) => {
    if (one === " ") return one;
    const short = { "\t": "\\t", "\n": "\\n", "\r": "\\r" }[one];
    const code = one.codePointAt(0).toString(16);
    const [letter, width] = code.length <= 2 ? ["x", 2] : code.length <= 4 ? ["u", 4] : ["U", 8];
    return short ?? `\\${letter}${code.padStart(width, "0")}`;
  });
}

const isNumber = (text) => /^\s*[+-]?(\p{Nd}[\p{Nd}_]*\.?[\p{Nd}_]*|\.\p{Nd}[\p{Nd}_]*|inf(inity)?|nan)(e[+-]?\p{Nd}+)?\s*$/iu.test(text);

const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
