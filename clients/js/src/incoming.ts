// Text that comes in from outside: what no store can keep, and no key can be, is refused where it comes in.

import { InvalidInput } from "./errors.js";

export const MAX_NAME_BYTES = 2048;
const MAX_DEPTH = 200;

/** What Python calls white space, which is not quite what JavaScript does. */
export const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
export const BLANKS = new RegExp(`[${BLANK}]+`, "gu");
const ONLY_BLANKS = new RegExp(`^[${BLANK}]*$`, "u");

export function isBlank(text: string): boolean {
  return ONLY_BLANKS.test(text);
}

/** What is wrong with a text that is not Unicode; empty where nothing is. */
export function tornProblem(text: string): string {
  if (text.isWellFormed()) return "";
  let characters = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code >= 0xd800 && code <= 0xdfff) {
      const shown = code.toString(16).toUpperCase().padStart(4, "0");
      return `holds half a surrogate pair (U+${shown}, character ${characters + 1}); send it as UTF-8`;
    }
    characters++;
  }
  return "";
}

/** InvalidInput for a text or key within plain data that is not Unicode, and for a number that is not finite. */
export function refuseOdd(value: unknown, place: string, depth = 0): void {
  if (typeof value === "string") {
    const problem = tornProblem(value);
    if (problem) throw new InvalidInput(`${place} ${problem}`);
  } else if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new InvalidInput(`${place} is ${value}; write a finite number`);
  } else if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value)) {
    if (depth > MAX_DEPTH) throw new InvalidInput(`${place} is nested more than ${MAX_DEPTH} deep, or holds itself`);
    if (Array.isArray(value)) {
      value.forEach((inner, i) => refuseOdd(inner, `${place}[${i}]`, depth + 1));
      return;
    }
    for (const [name, inner] of Object.entries(value)) {
      const problem = tornProblem(name);
      if (problem) throw new InvalidInput(`${place}: a key ${problem}`);
      refuseOdd(inner, `${place}.${name}`, depth + 1);
    }
  }
}

/** A name, id or ARN; InvalidInput when it is none that anything could have. */
export function checkName(text: unknown, field: string): string {
  if (typeof text !== "string" || !text) throw new InvalidInput(`${field} is ${shown(text)}; give a name, id or ARN`);
  const problem = tornProblem(text);
  if (problem) throw new InvalidInput(`${field} ${problem}`);
  const size = Buffer.byteLength(text);
  if (size > MAX_NAME_BYTES) {
    throw new InvalidInput(`${field} has ${size} bytes; a name, id or ARN has at most ${MAX_NAME_BYTES}`);
  }
  if (/[\x00-\x1f\x7f-\x9f]/u.test(text)) {
    throw new InvalidInput(`${field} ${shown(text)} holds a control character; give a name, id or ARN`);
  }
  return text;
}

/** The version that a text of ASCII digits names; undefined for anything else. */
export function versionNumber(text: string): number | undefined {
  return /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : undefined;
}

export function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

export function shown(value: unknown): string {
  let said: string;
  try {
    said = JSON.stringify(value) ?? String(value);
  } catch {
    said = kindOf(value);
  }
  return said.length <= 60 ? said : `${said.slice(0, 60)}…`;
}
