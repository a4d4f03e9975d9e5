// Receipts: what an answer hands out so that feedback on it can be counted against the version that gave it. The format
// is that of promptlane/client/receipts.py; either client opens what the other sealed.

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { blake2s } from "./blake2s.js";
import type { Decision } from "./decision.js";
import { InvalidReceipt } from "./errors.js";
import { RECEIPT_DAY, RECEIPT_FORMAT, RECEIPT_FRESH, RECEIPT_MAX_AGE, RECEIPT_WINDOW } from "./shared.js";

const DAY = RECEIPT_DAY * 1000;
const MAX_AGE = RECEIPT_MAX_AGE * 1000;
const FRESH = RECEIPT_FRESH * 1000;
const MAX_LENGTH = 2048;
const FACTS = 144;
const NONCE = 12;
const TAG = 16;
const FIXED = 16;
const AHEAD = 300_000;
const EARLY = 3_600_000;
const LATE = 2 * DAY;
const ALTERED = "the receipt is not ours, or was altered; pass on the `receipt` of an answer unchanged";
const NONE = "that is no receipt; pass on the `receipt` of an answer as it was given";
const TOO_OLD = `the receipt is older than ${RECEIPT_MAX_AGE / RECEIPT_DAY} days; its feedback can count no more`;

/** Whom an answer came from. `group` is empty unless the split was watched; `unit` is the unit's mark, and no id. */
export interface Receipt {
  readonly prompt: string;
  readonly version: number;
  readonly track: string;
  readonly releaseId: string;
  readonly group: string;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly unit: string;
}

/** What a receipt says openly; `key` names the key, in the way of its kind. */
export interface Head {
  readonly kind: number;
  readonly promptId: string;
  readonly day: number;
  readonly key: Buffer;
}

/** A key of one prompt and day. */
export interface Key {
  readonly kind: number;
  readonly day: number;
  readonly name: Buffer;
  readonly secret: Buffer;
}

/** What feedback counts once for: this unit, on answers that began in one window. */
export function voiceOf(receipt: Receipt): string {
  return `${receipt.prompt}/${receipt.unit}/${Math.floor(receipt.startedAt / (RECEIPT_WINDOW * 1000))}`;
}

/** The prompt's id in the ARN of a version; "" where there is none of Bedrock's shape. */
export function promptIdOf(versionArn: string): string {
  const at = versionArn.lastIndexOf("prompt/");
  const found = at < 0 ? (versionArn.split(":")[0] ?? "") : (versionArn.slice(at + 7).split(":")[0] ?? "");
  return /^[0-9A-Za-z]{10}$/.test(found) ? found : "";
}

/** A keyed hash of the unit, 64 bits: who holds it and not the salt learns nothing of the unit. */
export function mark(salt: string, unit: string): string {
  const key = blake2s(Buffer.from(salt), { person: Buffer.from("feedback") });
  return blake2s(Buffer.from(unit), { key, size: 8 }).toString("hex");
}

function encoded(head: Head): Buffer {
  const fixed = Buffer.alloc(FIXED);
  fixed.writeUInt8(RECEIPT_FORMAT, 0);
  fixed.writeUInt8(head.kind, 1);
  fixed.write(head.promptId, 2, "ascii");
  fixed.writeUInt16BE(head.day, 12);
  fixed.writeUInt16BE(head.key.length, 14);
  return Buffer.concat([fixed, head.key]);
}

/** A receipt for an answer by this decision's version; undefined where its facts have no room. */
export function seal(
  key: Key,
  by: Decision,
  {
    group,
    startedAt,
    unit,
    nonce = randomBytes(NONCE),
  }: { group: string; startedAt: number; unit: string; nonce?: Buffer },
): string | undefined {
  const promptId = promptIdOf(by.versionArn);
  const facts = JSON.stringify([by.version, by.track, by.releaseId, group, Math.round(startedAt), unit]);
  const text = Buffer.from(facts);
  if (text.length > FACTS || !promptId) return undefined;
  const head = encoded({ kind: key.kind, promptId, day: key.day, key: key.name });
  const cipher = createCipheriv("aes-256-gcm", key.secret, nonce);
  cipher.setAAD(Buffer.concat([head, Buffer.from(by.prompt)]));
  const filled = Buffer.concat([text, Buffer.alloc(FACTS - text.length, " ")]);
  const sealed = Buffer.concat([cipher.update(filled), cipher.final(), cipher.getAuthTag()]);
  return Buffer.concat([head, nonce, sealed]).toString("base64url");
}

/** What a receipt says openly, to find its key by; nothing of it is proved. InvalidReceipt where it is none. */
export function headOf(receipt: unknown, now: number): Head {
  if (typeof receipt !== "string" || receipt.length > MAX_LENGTH) throw new InvalidReceipt(NONE);
  if (receipt.includes(".")) {
    throw new InvalidReceipt(
      "the receipt is of the format before 0.2, which is not taken any more: its key was one for all prompts, known " +
        "to every application",
    );
  }
  const data = decoded(receipt);
  if (data[0] !== RECEIPT_FORMAT || data.length < FIXED) throw new InvalidReceipt(NONE);
  const promptId = data.toString("latin1", 2, 12);
  if (!/^[0-9A-Za-z]{10}$/.test(promptId)) throw new InvalidReceipt(NONE);
  const day = data.readUInt16BE(12);
  const length = data.readUInt16BE(14);
  if (data.length !== FIXED + length + NONCE + FACTS + TAG) throw new InvalidReceipt(NONE);
  if (day * DAY < now - MAX_AGE - LATE || day * DAY > now + AHEAD + EARLY) throw new InvalidReceipt(TOO_OLD);
  return { kind: data[1]!, promptId, day, key: data.subarray(FIXED, FIXED + length) };
}

/** What the receipt says, its head having led to this prompt's key; InvalidReceipt when it was not sealed by it. */
export function unseal(receipt: string, head: Head, key: Key, prompt: string, now: number): Receipt {
  const rest = decoded(receipt).subarray(FIXED + head.key.length);
  let text: string;
  try {
    const cipher = createDecipheriv("aes-256-gcm", key.secret, rest.subarray(0, NONCE));
    cipher.setAAD(Buffer.concat([encoded(head), Buffer.from(prompt)]));
    cipher.setAuthTag(rest.subarray(-TAG));
    text = Buffer.concat([cipher.update(rest.subarray(NONCE, -TAG)), cipher.final()]).toString();
  } catch {
    throw new InvalidReceipt(ALTERED);
  }
  const [version, track, releaseId, group, startedAt, unit] = JSON.parse(text);
  if (startedAt < now - MAX_AGE || startedAt > now + AHEAD) throw new InvalidReceipt(TOO_OLD);
  if (startedAt < head.day * DAY - EARLY || startedAt >= head.day * DAY + LATE) {
    throw new InvalidReceipt(`${ALTERED} (its key is of another day)`);
  }
  return { prompt, version, track, releaseId, group, startedAt, unit };
}

/** InvalidReceipt where the answer is too old for feedback. */
export function checkFresh(receipt: Receipt, now: number): void {
  if (now - receipt.startedAt > FRESH) {
    throw new InvalidReceipt(
      `the answer is older than ${RECEIPT_FRESH / RECEIPT_DAY} days; feedback on it counts no more`,
    );
  }
}

/** Strict base64url, padded or not: Node's decoder skips what it does not know. */
function decoded(text: string): Buffer {
  const bare = text.length % 4 === 0 ? text.replace(/={1,2}$/, "") : text;
  if (!/^[A-Za-z0-9_-]*$/.test(bare) || bare.length % 4 === 1) throw new InvalidReceipt(NONE);
  return Buffer.from(bare, "base64url");
}
