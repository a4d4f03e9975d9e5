// The keys that receipts are sealed with, one for each prompt and day: promptlane/client/receipt_keys.py says why so.
//
// Of secrets, and of keys of KMS, there may be several, parted by blanks: the newest, which is the last, seals, and
// each opens what it sealed. They may be given as a function, which is called again when a receipt comes that none of
// them opens, at most once a minute, however many such receipts come; those that it named before go on opening.

import { hkdfSync } from "node:crypto";
import type { Aws } from "./aws.js";
import { within } from "./clock.js";
import { InvalidInput, InvalidReceipt, Unavailable } from "./errors.js";
import { kindOf } from "./incoming.js";
import type { Head, Key } from "./receipts.js";
import { forget } from "./routes.js";
import { RECEIPT_DAY, RECEIPT_KEY_CONTEXT } from "./shared.js";

/** Where sealing keys come from. */
export interface Keys {
  /** The key to seal with, after at most `waitMs`; undefined where there is none now. */
  newest(prompt: string, waitMs: number): Promise<Key | undefined>;
  /** The key that a head names. InvalidReceipt when it is not this prompt's, Unavailable when not now. */
  named(prompt: string, head: Head): Promise<Key>;
}

const OWN = 0;
const KMS = 1;
/** Keys of other processes that were opened, at most this many. */
const KEPT = 1000;
/** How often one key seals in one process: with random nonces 2^32 is what GCM bears. */
const SEALS = 2 ** 28;
const FOREIGN = new Set(["InvalidCiphertextException", "IncorrectKeyException"]);

const FORGERY = "the receipt was sealed with a key that is not this prompt's";
/** Texts that a source no longer names, which still open what they sealed. */
const FORMER = 4;
/** Milliseconds between two readings of a source. */
const AGAIN = 60_000;
/** Receipts a minute of unknown keys for which AWS is asked in vain; more of them have to wait. */
const FORGED = 60;

export type Given = string | (() => string | Promise<string>);

/** Texts parted by blanks, the newest last: as given, or from a function, which is asked again on demand. */
export class Source {
  readonly #given: Given;
  readonly #name: string;
  readonly #log: (message: string) => void;
  #texts: Promise<readonly string[]> | undefined;
  #former: readonly string[] = [];
  #due = 0;

  constructor(given: Given, name: string, log: (message: string) => void) {
    this.#given = given;
    this.#name = name;
    this.#log = log;
  }

  async newest(): Promise<string> {
    return (await this.#read()).at(-1)!;
  }

  /** All that may have sealed, the newest first. */
  async known(): Promise<readonly string[]> {
    return [...(await this.#read()).toReversed(), ...this.#former];
  }

  /** What a new reading names that was not known; nothing when it was read within the last minute. */
  async again(): Promise<readonly string[]> {
    const known = await this.known();
    if (typeof this.#given === "string" || performance.now() < this.#due) return [];
    const before = this.#texts;
    this.#texts = undefined;
    try {
      const found = await this.#read();
      this.#former = known.filter((text) => !found.includes(text)).slice(0, FORMER);
      return found.filter((text) => !known.includes(text)).toReversed();
    } catch (error) {
      this.#texts = before; // what is known still opens and seals
      this.#log(`${this.#name} was not read again: ${String(error)}`);
      return [];
    }
  }

  #read(): Promise<readonly string[]> {
    if (this.#texts === undefined) {
      this.#due = performance.now() + AGAIN;
      this.#texts = this.#ask();
      this.#texts.catch(() => (this.#texts = undefined));
    }
    return this.#texts;
  }

  async #ask(): Promise<readonly string[]> {
    const given = typeof this.#given === "string" ? this.#given : await this.#given();
    const texts = typeof given === "string" ? given.split(/\s+/u).filter(Boolean) : [];
    if (texts.length) return texts;
    throw new InvalidInput(
      `${this.#name} gave ${typeof given === "string" ? "no text" : kindOf(given)}; give text, the newest last`,
    );
  }
}

const today = (): number => Math.floor(Date.now() / 1000 / RECEIPT_DAY);

/** Keys of secrets. */
export class OwnKeys implements Keys {
  readonly #secrets: Source;
  readonly #made = new Map<string, Key>();

  constructor(secrets: Source) {
    this.#secrets = secrets;
  }

  async newest(prompt: string): Promise<Key> {
    return this.key(await this.#secrets.newest(), prompt, today());
  }

  async named(prompt: string, head: Head): Promise<Key> {
    const among = (secrets: readonly string[]): Key | undefined =>
      secrets.map((secret) => this.key(secret, prompt, head.day)).find((key) => key.name.equals(head.key));
    const found =
      head.kind === OWN ? (among(await this.#secrets.known()) ?? among(await this.#secrets.again())) : undefined;
    if (found !== undefined) return found;
    throw new InvalidReceipt("the receipt was sealed with a key that is not ours; it came from elsewhere");
  }

  key(secret: string, prompt: string, day: number): Key {
    const at = `${secret}/${day}/${prompt}`;
    let found = this.#made.get(at);
    if (found === undefined) {
      const bound = Buffer.alloc(2);
      bound.writeUInt16BE(day);
      const info = Buffer.concat([Buffer.from("promptlane receipt\0"), bound, Buffer.from(prompt)]);
      const made = Buffer.from(hkdfSync("sha256", secret, "", info, 40));
      found = { kind: OWN, day, name: made.subarray(32), secret: made.subarray(0, 32) };
      this.#made.set(at, found);
      forget(this.#made, KEPT);
    }
    return found;
  }
}

/** What of AWS KMS is used. */
export interface Kms {
  generateDataKey(keyId: string, context: Record<string, string>): Promise<{ plain: Uint8Array; wrapped: Uint8Array }>;
  decrypt(keyId: string, wrapped: Uint8Array, context: Record<string, string>): Promise<Uint8Array>;
}

/** Keys that keys of KMS wrap; a source names them by id, ARN or alias. */
export class KmsKeys implements Keys {
  readonly #kms: Kms;
  readonly #keyIds: Source;
  readonly #log: (message: string) => void;
  readonly #held = new Map<string, Key>();
  readonly #sealed = new Map<string, number>();
  readonly #opened = new Map<string, Key>();
  readonly #fetching = new Map<string, Promise<void>>();
  readonly #due = new Map<string, number>();
  readonly #forged = new Map<string, true>();
  #left = FORGED;
  #leftUntil = 0;

  constructor(kms: Kms, keyIds: Source, log: (message: string) => void) {
    this.#kms = kms;
    this.#keyIds = keyIds;
    this.#log = log;
  }

  /** Today's key; yesterday's while today's cannot be had. */
  async newest(prompt: string, waitMs: number): Promise<Key | undefined> {
    const held = this.#held.get(prompt);
    const sealed = this.#sealed.get(prompt) ?? 0;
    if (held?.day === today() && sealed < SEALS) {
      if (waitMs) this.#sealed.set(prompt, sealed + 1);
      return held;
    }
    const fetching = this.#fetch(prompt);
    const usable = held?.day === today() - 1 && sealed < SEALS;
    if (fetching !== undefined && waitMs && !usable) await within(fetching, waitMs);
    const now = this.#held.get(prompt);
    return now !== undefined && now.day >= today() - 1 && now.day <= today() ? now : undefined;
  }

  async named(prompt: string, head: Head): Promise<Key> {
    if (head.kind !== KMS) {
      throw new InvalidReceipt("the receipt was sealed with a key that is not of KMS; it came from elsewhere");
    }
    const at = `${head.day}/${head.key.toString("base64")}/${prompt}`;
    let found = this.#opened.get(at);
    if (found === undefined) {
      found = { kind: KMS, day: head.day, name: head.key, secret: await this.#decrypt(prompt, head, at) };
      this.#opened.set(at, found);
      forget(this.#opened, KEPT);
    }
    return found;
  }

  /** The data key in plain, by whichever key of KMS wrapped it. */
  async #decrypt(prompt: string, head: Head, at: string): Promise<Buffer> {
    if (this.#forged.has(at)) throw new InvalidReceipt(FORGERY);
    if (this.#left <= 0 && performance.now() < this.#leftUntil) {
      throw new Unavailable(
        `the receipt cannot be checked now: ${FORGED} receipts of keys that are none came within a minute; it stays ` +
          "good, try again in a minute",
      );
    }
    let failed: Error | undefined;
    for (let tried = await this.#keyIds.known(); tried.length; tried = failed ? [] : await this.#keyIds.again()) {
      for (const keyId of tried) {
        try {
          return Buffer.from(await this.#kms.decrypt(keyId, head.key, context(prompt, head.day)));
        } catch (error) {
          const { name } = error as Error;
          if (name === "InvalidCiphertextException") {
            this.#forged.set(at, true);
            forget(this.#forged, KEPT);
            throw this.#forgery();
          }
          if (!FOREIGN.has(name)) failed = error as Error;
        }
      }
    }
    if (failed === undefined) throw this.#forgery();
    throw new Unavailable(
      `the receipt cannot be checked now (${failed.name}: ${failed.message}): it stays good, try again; allow ` +
        `kms:Decrypt on ${await this.#keyIds.newest()} for receipts of ${prompt}`,
      { cause: failed },
    );
  }

  /** So many a minute, after which nobody is asked in vain for the rest of it. */
  #forgery(): InvalidReceipt {
    const now = performance.now();
    if (now >= this.#leftUntil) [this.#left, this.#leftUntil] = [FORGED, now + 60_000];
    this.#left--;
    return new InvalidReceipt(FORGERY);
  }

  /** The fetching of a prompt's key, begun unless there is one or the last try was just now. */
  #fetch(prompt: string): Promise<void> | undefined {
    let fetching = this.#fetching.get(prompt);
    if (fetching === undefined && performance.now() >= (this.#due.get(prompt) ?? 0)) {
      fetching = this.#make(prompt).finally(() => this.#fetching.delete(prompt));
      this.#fetching.set(prompt, fetching);
    }
    return fetching;
  }

  async #make(prompt: string): Promise<void> {
    const day = today();
    try {
      const { plain, wrapped } = await this.#kms.generateDataKey(await this.#keyIds.newest(), context(prompt, day));
      this.#held.set(prompt, { kind: KMS, day, name: Buffer.from(wrapped), secret: Buffer.from(plain) });
      this.#sealed.set(prompt, 0);
      this.#due.delete(prompt);
      for (const kept of [this.#held, this.#sealed]) forget(kept, KEPT);
    } catch (error) {
      this.#due.set(prompt, performance.now() + 60_000);
      forget(this.#due, KEPT);
      this.#log(`no key to seal receipts of ${prompt} with, its answers carry none for a minute: ${String(error)}`);
    }
  }
}

/** What a data key is bound to. */
function context(prompt: string, day: number): Record<string, string> {
  return { [RECEIPT_KEY_CONTEXT]: prompt, day: String(day) };
}

export class SdkKms implements Kms {
  constructor(readonly aws: Aws) {}

  async generateDataKey(
    KeyId: string,
    EncryptionContext: Record<string, string>,
  ): Promise<{ plain: Uint8Array; wrapped: Uint8Array }> {
    const [client, sdk] = await Promise.all([this.aws.kms(), import("@aws-sdk/client-kms")]);
    const made = await client.send(new sdk.GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256", EncryptionContext }));
    return { plain: made.Plaintext!, wrapped: made.CiphertextBlob! };
  }

  async decrypt(
    KeyId: string,
    CiphertextBlob: Uint8Array,
    EncryptionContext: Record<string, string>,
  ): Promise<Uint8Array> {
    const [client, sdk] = await Promise.all([this.aws.kms(), import("@aws-sdk/client-kms")]);
    return (await client.send(new sdk.DecryptCommand({ KeyId, CiphertextBlob, EncryptionContext }))).Plaintext!;
  }
}
