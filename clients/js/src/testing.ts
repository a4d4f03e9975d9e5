// For the tests of applications: static routes, a Bedrock that answers as told, and metrics in a list. No network.
//
//     const routes = new StaticRoutes();
//     routes.put("greeter", { stable: 1, canary: 2, weight: 2500 });
//     const client = fakeClient(routes, new FakeBedrock({ 1: "Hello!", 2: new Error("model is down") }));

import type {
  ConverseCommandInput,
  ConverseCommandOutput,
  ConverseStreamOutput,
} from "@aws-sdk/client-bedrock-runtime";
import type { Bedrock, Events } from "./aws.js";
import { PromptClient, type Doubles, type Settings } from "./client.js";
import type { Item } from "./decision.js";
import type { Document, Sink } from "./metrics.js";
import type { RouteReader } from "./routes.js";

/** What Converse refuses beside a prompt's ARN. */
const FORBIDDEN = ["additionalModelRequestFields", "inferenceConfig", "system", "toolConfig"] as const;

export type Reply = string | Error | Partial<ConverseCommandOutput> | readonly (ConverseStreamOutput | Error)[];
export type Replies =
  | Reply
  | ((request: ConverseCommandInput) => Reply | Promise<Reply>)
  | Readonly<Record<number, Reply | ((request: ConverseCommandInput) => Reply | Promise<Reply>)>>;

/** A well-formed ARN for a version in a test. */
export function versionArn(prompt: string, version: number): string {
  const id = prompt
    .toUpperCase()
    .replace(/[^A-Z0-9]/g, "")
    .slice(0, 10)
    .padEnd(10, "0");
  return `arn:aws:bedrock:eu-west-1:111122223333:prompt/${id}:${version}`;
}

export interface Put {
  stable: number;
  canary?: number;
  weight?: number;
  previous?: number;
  holdback?: number;
  variables?: readonly string[];
  salt?: string;
  /** Id and version of the guardrails that versions have, by the version's number. */
  guardrails?: Readonly<Record<number, readonly [string, string]>>;
}

/** A route table in memory. Set `down` to an error to make every read fail; `reads` counts them. */
export class StaticRoutes implements RouteReader {
  readonly items = new Map<string, Item>();
  down: Error | undefined;
  reads = 0;

  /** Give a prompt a route: in canary when `canary` is given, in watch when `previous` is, else steady. */
  put(prompt: string, { stable, canary, previous, weight = 0, holdback = 0, variables, salt, guardrails }: Put): void {
    const ref = (version: number) => {
      const guardrail = guardrails?.[version];
      return {
        version,
        fingerprint: version.toString(16).padStart(64, "0"),
        arn: versionArn(prompt, version),
        ...(variables ? { variables: [...variables] } : {}),
        ...(guardrail ? { guardrail: { id: guardrail[0], version: guardrail[1] } } : {}),
      };
    };
    const id = versionArn(prompt, 1).split("/")[1]!.split(":")[0]!;
    const release = `${id}-${canary ?? stable}-1`;
    this.items.set(prompt, {
      schema: 1,
      prompt,
      prompt_id: id,
      stable: ref(stable),
      weight,
      holdback,
      salt: salt ?? `test ${release}`,
      release_id: release,
      revision: Number(this.items.get(prompt)?.["revision"] ?? 0) + 1,
      phase: "steady",
      ...(canary !== undefined
        ? { canary: ref(canary), phase: "canary" }
        : previous !== undefined
          ? { previous: ref(previous), phase: "watch" }
          : {}),
    });
  }

  async read(prompts: readonly string[]): Promise<Map<string, Item | Error>> {
    this.reads++;
    if (this.down) throw this.down;
    const found = new Map<string, Item | Error>();
    for (const prompt of prompts) {
      const item = this.items.get(prompt);
      if (item) found.set(prompt, item);
    }
    return found;
  }

  async nameOf(prompt: string): Promise<string | undefined> {
    const wanted = prompt.slice(prompt.lastIndexOf("/") + 1).split(":")[0];
    return [...this.items].find(([, item]) => item["prompt_id"] === wanted)?.[0];
  }
}

/** Answers Converse and ConverseStream. Replies are by version, or one for all; `calls` lists the requests. */
export class FakeBedrock implements Bedrock {
  readonly calls: ConverseCommandInput[] = [];

  constructor(public replies: Replies = "Hello from the fake.") {}

  async converse(input: ConverseCommandInput): Promise<ConverseCommandOutput> {
    const reply = await this.#reply(input);
    if (reply instanceof Error) throw reply;
    return (typeof reply === "string" ? responseOf(reply) : reply) as ConverseCommandOutput;
  }

  async converseStream(input: ConverseCommandInput): Promise<{ stream: Events }> {
    const reply = await this.#reply(input);
    if (reply instanceof Error) throw reply;
    const response = typeof reply === "string" ? responseOf(reply) : reply;
    return { stream: events(Array.isArray(response) ? response : eventsOf(response as ConverseCommandOutput)) };
  }

  async #reply(input: ConverseCommandInput): Promise<Reply> {
    this.calls.push(input);
    const forbidden = FORBIDDEN.filter((name) => name in input);
    if (forbidden.length) {
      throw new Error(`Converse refuses ${forbidden.join(", ")} beside a prompt's ARN; put them in the prompt`);
    }
    const version = Number(input.modelId?.slice(input.modelId.lastIndexOf(":") + 1));
    const all = this.replies as Readonly<Record<number, Reply>>;
    const reply = typeof all === "object" && version in all ? all[version] : this.replies;
    return typeof reply === "function" ? reply(input) : (reply as Reply);
  }
}

/** A Converse response with this text. */
export function responseOf(text: string, stopReason = "end_turn"): ConverseCommandOutput {
  const words = text.split(/\s+/).filter(Boolean).length;
  return {
    output: { message: { role: "assistant", content: [{ text }] } },
    stopReason: stopReason as NonNullable<ConverseCommandOutput["stopReason"]>,
    usage: { inputTokens: 10, outputTokens: words, totalTokens: 10 + words },
    metrics: { latencyMs: 1 },
    $metadata: {},
  };
}

async function* events(of: readonly (ConverseStreamOutput | Error)[]): Events {
  for (const event of of) {
    if (event instanceof Error) throw event;
    yield event;
  }
}

function eventsOf(response: ConverseCommandOutput): ConverseStreamOutput[] {
  const found: ConverseStreamOutput[] = [{ messageStart: { role: "assistant" } }];
  for (const [contentBlockIndex, block] of (response.output?.message?.content ?? []).entries()) {
    const { toolUse } = block;
    if (toolUse) {
      const start = { toolUse: { toolUseId: toolUse.toolUseId, name: toolUse.name } };
      found.push({ contentBlockStart: { start, contentBlockIndex } });
      const delta = { toolUse: { input: JSON.stringify(toolUse.input ?? {}) } };
      found.push({ contentBlockDelta: { delta, contentBlockIndex } });
    } else {
      for (const text of (block.text ?? "").split(/(?<= )/)) {
        found.push({ contentBlockDelta: { delta: { text }, contentBlockIndex } });
      }
    }
    found.push({ contentBlockStop: { contentBlockIndex } });
  }
  found.push({ messageStop: { stopReason: response.stopReason } });
  found.push({ metadata: { usage: response.usage, metrics: { latencyMs: 1 } } });
  return found;
}

/** Keeps every metric document. */
export class ListSink implements Sink {
  readonly documents: Document[] = [];

  emit(document: Document): void {
    this.documents.push(document);
  }

  async flush(): Promise<void> {}

  async close(): Promise<void> {}

  /** [sum, sample count] of a metric under exactly these dimensions, as CloudWatch would answer. */
  total(metric: string, dimensions: Readonly<Record<string, string>>): [number, number] {
    const wanted = JSON.stringify(Object.entries(dimensions).sort());
    let [sum, count] = [0, 0];
    for (const document of this.documents) {
      for (const { dimensionSets, metrics } of document.directives) {
        if (!metrics.includes(metric)) continue;
        for (const names of dimensionSets) {
          if (JSON.stringify(names.map((name) => [name, document.dimensions[name]]).sort()) !== wanted) continue;
          sum += document.values[metric] ?? 0;
          count++;
        }
      }
    }
    return [sum, count];
  }
}

/** A PromptClient over these fakes. Takes PromptClient's settings too. Receipts are sealed with a test key. */
export function fakeClient(
  routes: RouteReader,
  bedrock: Bedrock = new FakeBedrock(),
  settings: Settings = {},
  doubles: Doubles = {},
): PromptClient {
  const own = { sink: new ListSink(), receiptKey: "a key for tests", routeTable: "none" };
  return new PromptClient({ ...own, ...settings }, { routes, bedrock, ...doubles });
}
