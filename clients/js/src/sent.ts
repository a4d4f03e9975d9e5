// What an application sends with a request, beside its variables: refused here when no version could take it.

import { InvalidInput } from "./errors.js";
import { isBlank, isObject, kindOf, refuseOdd, shown } from "./incoming.js";
import { MAX_METADATA, MAX_METADATA_CHARACTERS, OWN_METADATA } from "./shared.js";

const KEPT = /^[a-zA-Z0-9\t-\r :_@$#=/+,.-]*$/;
const REFINED = ["streamProcessingMode", "trace"];

export interface Sent {
  messages?: unknown;
  guardrail?: unknown;
  metadata?: unknown;
}

/** Throws InvalidInput, which names the argument and what to do, for what Converse takes from no version. */
export function check({ messages, guardrail, metadata }: Sent): void {
  if (messages !== undefined && messages !== null && !Array.isArray(messages)) {
    throw new InvalidInput(
      `messages is ${kindOf(messages)}; give an array such as [{ role: "user", content: [{ text: "..." }] }]`,
    );
  }
  for (const [argument, given, wanted] of [
    ["guardrail", guardrail, 'an object such as { guardrailIdentifier: "...", guardrailVersion: "1" }'],
    ["metadata", metadata, "an object of texts by name"],
  ] as const) {
    if (given !== undefined && given !== null && !isObject(given)) {
      throw new InvalidInput(`${argument} is ${kindOf(given)}; give ${wanted}`);
    }
  }
  refuseOdd(messages, "messages");
  refuseOdd(guardrail, "guardrail");
  refuseOdd(metadata, "metadata");
  for (const [i, message] of ((messages ?? []) as unknown[]).entries()) checkMessage(`messages[${i}]`, message);
  checkMetadata((metadata ?? {}) as Record<string, unknown>);
}

function checkMessage(place: string, message: unknown): void {
  if (!isObject(message) || (message["role"] !== "user" && message["role"] !== "assistant")) {
    throw new InvalidInput(`${place} has no role; give { role: "user" or "assistant", content: [...] }`);
  }
  const blocks = message["content"];
  if (!Array.isArray(blocks) || !blocks.length) {
    throw new InvalidInput(`${place}.content has no block; give an array such as [{ text: "..." }]`);
  }
  for (const [i, block] of blocks.entries()) {
    const names = isObject(block) ? Object.keys(block).filter((name) => block[name] !== undefined) : [];
    if (names.length !== 1) {
      throw new InvalidInput(`${place}.content[${i}] must be an object with one key, such as { text: "..." }`);
    }
    const text = (block as Record<string, unknown>)["text"];
    if (names[0] === "text" && !(typeof text === "string" && !isBlank(text))) {
      throw new InvalidInput(`${place}.content[${i}].text is blank, or no text; leave the block out`);
    }
  }
}

function checkMetadata(metadata: Record<string, unknown>): void {
  const own = Object.keys(metadata).filter((name) => !OWN_METADATA.includes(name));
  const most = MAX_METADATA - OWN_METADATA.length;
  if (own.length > most) {
    throw new InvalidInput(
      `metadata has ${own.length} entries; Bedrock takes ${MAX_METADATA}, of which ${OWN_METADATA.length} name the ` +
        `release: send at most ${most}`,
    );
  }
  for (const name of own) {
    checkKept("a name in metadata", name, 1);
    checkKept(`metadata[${shown(name)}]`, metadata[name], 0);
  }
}

function checkKept(what: string, text: unknown, least: number): void {
  if (typeof text !== "string") throw new InvalidInput(`${what} is ${kindOf(text)}; give text, with String()`);
  const length = [...text].length;
  if (length < least || length > MAX_METADATA_CHARACTERS) {
    throw new InvalidInput(`${what} has ${length} characters; Bedrock takes ${least} to ${MAX_METADATA_CHARACTERS}`);
  }
  if (!KEPT.test(text)) {
    throw new InvalidInput(
      `${what} is ${shown(text)}; Bedrock takes ASCII letters, digits, blanks and : _ @ $ # = / + , . - alone: ` +
        "encode the rest",
    );
  }
}

/** Throws InvalidInput when a caller's guardrailConfig is half of one. */
export function checkGuardrail(given: Readonly<Record<string, unknown>> | undefined, stream = true): void {
  if (!given) return;
  const names = Object.keys(given).filter((name) => given[name] !== undefined);
  const named = ["guardrailIdentifier", "guardrailVersion"].filter((name) => names.includes(name));
  if (named.length === 1) {
    throw new InvalidInput(
      `guardrail has ${named[0]} alone; give guardrailIdentifier and guardrailVersion, or neither to keep the ` +
        "version's own guardrail",
    );
  }
  const unknown = names.filter((name) => !REFINED.includes(name)).sort();
  if (!named.length && unknown.length) {
    throw new InvalidInput(
      `guardrail names no guardrail but has ${unknown.join(", ")}; beside guardrailIdentifier and guardrailVersion ` +
        `it may hold ${REFINED.join(", ")}`,
    );
  }
  if (!stream && names.includes("streamProcessingMode")) {
    throw new InvalidInput("guardrail has streamProcessingMode, which is for converseStream; leave it out here");
  }
}
