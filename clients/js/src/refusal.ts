// Tells from its text whether an answer declines the request: promptlane/domain/canary/refusal.py, step by step. The
// words are Python's own (shared.ts); what their expressions mean there is spelled out here.

import { BLANK, BLANKS } from "./incoming.js";
import { CASEFOLD, REFUSAL_LANGUAGES, REFUSAL_OPENING } from "./shared.js";

type Words = (typeof REFUSAL_LANGUAGES)[number];

/** Characters after a turn that are more than a courtesy. */
const HELP = 12;
const APOSTROPHES = /[’‘ʼ`´]/gu;
const PUNCTUATION = /[.,;:!?…()¡¿]/gu;
const UNSEEN = /[*_\u064b-\u0652\u200b-\u200f]/gu;
const CODE = /```[\s\S]{0,600}?(?:```|(?=\n)|$)|`[^`\n]{2,200}`|(?:^|(?<=\n)) {0,3}>[^\n]*/gu;
const QUOTED = /"[^"]{1,200}"|“[^”“]{1,200}[”“]|„[^“”„]{1,200}[“”]|«[^»]{1,200}»|「[^」]{1,100}」|『[^』]{1,100}』/gu;
const PARAGRAPH = new RegExp(`(?<=[^${BLANK}.!?:。！？।])[ \\t]*\\n[ \\t]*\\n[${BLANK}]*`, "gu");
const SENTENCE = /[^.!?。！？।]+(?:[.!?]+(?=[^\s.!?。！？।'")])[^.!?。！？।]*)*[.!?。！？।]*/gu;
const LETTER = /\p{L}/u;

/** Whether the answer's opening declines the request. Empty text is no refusal: nothing was said. */
export function isRefusal(text: string): boolean {
  const opening = openingOf(text);
  const spaced = ` ${opening.replace(PUNCTUATION, " ")} `;
  return REFUSAL_LANGUAGES.some((words) => mayBe(words, spaced) && declines(opening, words));
}

function mayBe(words: Words, spaced: string): boolean {
  if (words.hints.length) return words.hints.some((hint) => spaced.includes(hint));
  return pattern(words.letter).test(spaced);
}

function first(text: string, characters: number): string {
  if (text.length <= characters) return text;
  return [...text.slice(0, 2 * characters)].slice(0, characters).join("");
}

function casefold(text: string): string {
  let folded = "";
  for (const character of text) folded += CASEFOLD[character] ?? character.toLowerCase();
  return folded;
}

function joined(text: string): string {
  return text.replace(BLANKS, " ").replace(/^ | $/g, "");
}

function openingOf(text: string): string {
  let start = first(text, REFUSAL_OPENING * 4);
  start = start.replace(CODE, " … ").replace(PARAGRAPH, ". ");
  start = casefold(start.replace(APOSTROPHES, "'").normalize("NFKC")).replace(UNSEEN, "");
  start = first(joined(start), REFUSAL_OPENING);
  const said = start.replace(QUOTED, " … ");
  return LETTER.test(said) ? said : start;
}

function declines(opening: string, words: Words): boolean {
  if (!pattern(words.declines).test(opening)) {
    return pattern(words.nothing_but, "whole").test(stripped(opening, " .!…"));
  }
  if (pattern(words.delivers).test(opening)) return false;
  const sentences = sentencesOf(opening);
  for (const [at, sentence] of sentences.entries()) {
    const match = pattern(words.declines).exec(sentence);
    if (match === null || pattern(words.not_meant).test(sentence)) continue;
    if (match.groups?.["policy"] !== undefined && pattern(words.bounds).test(sentence)) continue;
    if (!helps(sentence.slice(match.index + match[0].length), sentences.slice(at + 1), words)) return true;
  }
  return false;
}

function sentencesOf(text: string): string[] {
  return (text.match(SENTENCE) ?? []).map((sentence) => stripped(sentence, " "));
}

/** Whether what comes after the words that decline turns to an answer. */
function helps(rest: string, following: readonly string[], words: Words): boolean {
  const turn = pattern(words.turns).exec(rest);
  if (turn !== null) {
    const after = rest.slice(turn.index + turn[0].length);
    if (answers(`${after} ${following.join(" ")}`, words)) return true;
  }
  for (const sentence of following.slice(0, 2)) {
    const begins = pattern(words.begins, "start").exec(sentence);
    if (begins !== null && answers(sentence.slice(begins[0].length), words)) return true;
  }
  return false;
}

function answers(said: string, words: Words): boolean {
  const begun = stripped(said, " ,.;:–—-");
  if ([...begun].length < HELP) return false;
  const start = first(begun, 70);
  return !(pattern(words.elsewhere).test(start) || pattern(words.declines).test(start));
}

function stripped(text: string, ends: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && ends.includes(text[from]!)) from++;
  while (to > from && ends.includes(text[to - 1]!)) to--;
  return text.slice(from, to);
}

const WORD = "\\p{L}\\p{N}_";
const BOUNDARY = `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`;
const SYNTAX = "^$\\.*+?()[]{}|/";
const compiled = new Map<string, RegExp>();

/** A regular expression of Python's, compiled when an answer first needs it; `part`: what of a text has to match. */
function pattern(text: string, part: "anywhere" | "start" | "whole" = "anywhere"): RegExp {
  const key = `${part} ${text}`;
  let found = compiled.get(key);
  if (found === undefined) {
    const own = inJavaScript(text);
    found = new RegExp(part === "anywhere" ? own : part === "start" ? `^(?:${own})` : `^(?:${own})$`, "u");
    compiled.set(key, found);
  }
  return found;
}

/** A Python expression in JavaScript's words: letters of every script make words there, and groups are named otherwise. */
export function inJavaScript(python: string): string {
  let out = "";
  let inside = false;
  for (let i = 0; i < python.length; i++) {
    const c = python[i]!;
    if (c === "\\") {
      const escaped = python[++i]!;
      if (escaped === "b" && !inside) out += BOUNDARY;
      else if (escaped === "w") out += inside ? WORD : `[${WORD}]`;
      else if (escaped === "d") out += "\\p{Nd}";
      else if (escaped === "S" && !inside) out += `[^${BLANK}]`;
      else if (escaped === "s") out += inside ? BLANK : `[${BLANK}]`;
      else if (/[a-zA-Z0-9]/.test(escaped) || SYNTAX.includes(escaped) || (inside && escaped === "-"))
        out += c + escaped;
      else out += escaped;
    } else if (inside) {
      out += c === "[" ? "\\[" : c;
      inside = c !== "]" || python[i - 1] === "[";
    } else if (c === "[") {
      inside = true;
      out += c;
    } else if (python.startsWith("(?P<", i)) {
      out += "(?<";
      i += 3;
    } else {
      out += c;
    }
  }
  return out;
}
