// The keys that receipts are sealed with, one for each prompt and day: promptlane/client/receipt_keys.py says why so.

import { hkdfSync } from "node:crypto";
import type { Aws } from "./aws.js";
import { within } from "./clock.js";
import { InvalidReceipt, Unavailable } from "./errors.js";
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

const today = (): number => Math.floor(Date.now() / 1000 / RECEIPT_DAY);

/** Keys of secrets in a text, parted by blanks: the last one seals, and a receipt names the one that opens it. */
export class OwnKeys implements Keys {
  readonly #secrets: readonly string[];
  readonly #made = new Map<string, Key>();

  constructor(text: string) {
    this.#secrets = text.split(/\s+/u).filter(Boolean);
  }

  async newest(prompt: string): Promise<Key> {
    return this.key(this.#secrets.length - 1, prompt, today());
  }

  async named(prompt: string, head: Head): Promise<Key> {
    for (let i = 0; head.kind === OWN && i < this.#secrets.length; i++) {
      const key = this.key(i, prompt, head.day);
      if (key.name.equals(head.key)) return key;
    }
    throw new InvalidReceipt("the receipt was sealed with a key that is not ours; it came from elsewhere");
  }

  key(secret: number, prompt: string, day: number): Key {
    const at = `${secret}/${day}/${prompt}`;
    let found = this.#made.get(at);
    if (found === undefined) {
      const bound = Buffer.alloc(2);
      bound.writeUInt16BE(day);
      const info = Buffer.concat([Buffer.from("promptlane receipt\0"), bound, Buffer.from(prompt)]);
      const made = Buffer.from(hkdfSync("sha256", this.#secrets[secret]!, "", info, 40));
      found = { kind: OWN, day, name: made.subarray(32), secret: made.subarray(0, 32) };
      this.#made.set(at, found);
      forget(this.#made, KEPT);
    }
    return found;
  }
}

/** What of AWS KMS is used. */
export interface Kms {
  generateDataKey(context: Record<string, string>): Promise<{ plain: Uint8Array; wrapped: Uint8Array }>;
  decrypt(wrapped: Uint8Array, context: Record<string, string>): Promise<Uint8Array>;
}

/** Keys that a KMS key wraps. */
export class KmsKeys implements Keys {
  readonly #kms: Kms;
  readonly #log: (message: string) => void;
  readonly #held = new Map<string, Key>();
  readonly #sealed = new Map<string, number>();
  readonly #opened = new Map<string, Key>();
  readonly #fetching = new Map<string, Promise<void>>();
  readonly #due = new Map<string, number>();

  constructor(kms: Kms, log: (message: string) => void) {
    this.#kms = kms;
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
    return now !== undefined && now.day >= today() - 1 ? now : undefined;
  }

  async named(prompt: string, head: Head): Promise<Key> {
    if (head.kind !== KMS) {
      throw new InvalidReceipt("the receipt was sealed with a key that is not of KMS; it came from elsewhere");
    }
    const at = `${head.day}/${head.key.toString("base64")}/${prompt}`;
    let found = this.#opened.get(at);
    if (found === undefined) {
      found = { kind: KMS, day: head.day, name: head.key, secret: await this.#decrypt(prompt, head) };
      this.#opened.set(at, found);
      forget(this.#opened, KEPT);
    }
    return found;
  }

  async #decrypt(prompt: string, head: Head): Promise<Buffer> {
    try {
      return Buffer.from(await this.#kms.decrypt(head.key, context(prompt, head.day)));
    } catch (error) {
      const { name, message } = error as Error;
      if (FOREIGN.has(name)) throw new InvalidReceipt("the receipt was sealed with a key that is not this prompt's");
      throw new Unavailable(
        `the receipt cannot be checked now (${name}: ${message}): it stays good, try again; allow kms:Decrypt on the ` +
          `receipts' key for receipts of ${prompt}`,
        { cause: error },
      );
    }
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
      const { plain, wrapped } = await this.#kms.generateDataKey(context(prompt, day));
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
  constructor(
    readonly aws: Aws,
    readonly keyId: string,
  ) {}

  async generateDataKey(EncryptionContext: Record<string, string>): Promise<{ plain: Uint8Array; wrapped: Uint8Array }> {
    const [client, sdk] = await Promise.all([this.aws.kms(), import("@aws-sdk/client-kms")]);
    const command = new sdk.GenerateDataKeyCommand({ KeyId: this.keyId, KeySpec: "AES_256", EncryptionContext });
    const { Plaintext, CiphertextBlob } = await client.send(command);
    return { plain: Plaintext!, wrapped: CiphertextBlob! };
  }

  async decrypt(CiphertextBlob: Uint8Array, EncryptionContext: Record<string, string>): Promise<Uint8Array> {
    const [client, sdk] = await Promise.all([this.aws.kms(), import("@aws-sdk/client-kms")]);
    const command = new sdk.DecryptCommand({ CiphertextBlob, KeyId: this.keyId, EncryptionContext });
    return (await client.send(command)).Plaintext!;
  }
}
