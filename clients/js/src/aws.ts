// The AWS services that the client calls, through AWS SDK v3, loaded when the first call is made.
//
// Timeouts and retries are tuned for a request path: routes give up after a second (an older route is served
// meanwhile); a model call is never repeated by the SDK, because a repeat after a timeout would double the longest
// request. Model calls go over HTTP/1.1: one HTTP/2 session that is lost would end every stream at once.

import type { AttributeValue, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import type {
  BedrockRuntimeClient,
  BedrockRuntimeClientConfig,
  ConverseCommandInput,
  ConverseCommandOutput,
  ConverseStreamOutput,
} from "@aws-sdk/client-bedrock-runtime";
import type { CloudWatchClient, MetricDatum } from "@aws-sdk/client-cloudwatch";
import type { KMSClient } from "@aws-sdk/client-kms";
import type { Item } from "./decision.js";
import { InvalidInput, Unavailable } from "./errors.js";
import type { RouteReader } from "./routes.js";

/** What of an SDK client's settings this client hands on to each that it makes. */
export type AwsSettings = Pick<BedrockRuntimeClientConfig, "region" | "credentials" | "endpoint">;

export type Events = AsyncIterable<ConverseStreamOutput>;

/** What answers: Converse and ConverseStream, until `signal` says that it is too late. */
export interface Bedrock {
  converse(input: ConverseCommandInput, signal: AbortSignal): Promise<ConverseCommandOutput>;
  converseStream(input: ConverseCommandInput, signal: AbortSignal): Promise<{ stream?: Events | undefined }>;
}

const MAX_CONNECTIONS = 50;

/** SDK clients of one process, made when first used. */
export class Aws {
  readonly #settings: AwsSettings;
  readonly #made = new Map<string, Promise<unknown>>();

  constructor(settings: AwsSettings) {
    this.#settings = settings;
  }

  dynamodb = (): Promise<DynamoDBClient> =>
    this.#client(
      "client-dynamodb",
      () => import("@aws-sdk/client-dynamodb"),
      (sdk, config) => new sdk.DynamoDBClient(config),
      1,
      2,
    );

  bedrock = (): Promise<BedrockRuntimeClient> =>
    this.#client(
      "client-bedrock-runtime",
      () => import("@aws-sdk/client-bedrock-runtime"),
      (sdk, config) => new sdk.BedrockRuntimeClient(config),
      0,
      1,
    );

  kms = (): Promise<KMSClient> =>
    this.#client(
      "client-kms",
      () => import("@aws-sdk/client-kms"),
      (sdk, config) => new sdk.KMSClient(config),
      2,
      2,
    );

  cloudwatch = (): Promise<CloudWatchClient> =>
    this.#client(
      "client-cloudwatch",
      () => import("@aws-sdk/client-cloudwatch"),
      (sdk, config) => new sdk.CloudWatchClient(config),
      5,
      1, // not idempotent: the sink decides what is sent again
    );

  /** `seconds`: how long a request may take; 0 leaves it to the caller's signal. */
  async #client<Sdk, Client>(
    name: string,
    load: () => Promise<Sdk>,
    make: (sdk: Sdk, config: AwsSettings & { maxAttempts: number; requestHandler: never }) => Client,
    seconds: number,
    maxAttempts: number,
  ): Promise<Client> {
    let made = this.#made.get(name) as Promise<Client> | undefined;
    if (made === undefined) {
      made = Promise.all([
        loaded(name, load),
        import("@smithy/node-http-handler"),
        import("node:http"),
        import("node:https"),
      ]).then(([sdk, { NodeHttpHandler }, http, https]) => {
        const agent = { keepAlive: true, maxSockets: MAX_CONNECTIONS };
        const requestHandler = new NodeHttpHandler({
          connectionTimeout: Math.min(2, seconds || 2) * 1000,
          ...(seconds ? { requestTimeout: seconds * 1000, throwOnRequestTimeout: true } : {}),
          httpAgent: new http.Agent(agent),
          httpsAgent: new https.Agent(agent),
        }) as never;
        return make(sdk, { ...this.#settings, maxAttempts, requestHandler });
      });
      made.catch(() => this.#made.delete(name));
      this.#made.set(name, made);
    }
    return made;
  }

  /** Ends idle connections. */
  async close(): Promise<void> {
    const clients = await Promise.allSettled(this.#made.values());
    for (const made of clients) if (made.status === "fulfilled") (made.value as { destroy(): void }).destroy();
    this.#made.clear();
  }
}

async function loaded<Sdk>(name: string, load: () => Promise<Sdk>): Promise<Sdk> {
  try {
    return await load();
  } catch (error) {
    throw new InvalidInput(`@aws-sdk/${name} could not be loaded; install it beside promptlane`, { cause: error });
  }
}

export class SdkBedrock implements Bedrock {
  constructor(readonly aws: Aws) {}

  async converse(input: ConverseCommandInput, abortSignal: AbortSignal): Promise<ConverseCommandOutput> {
    const [client, { ConverseCommand }] = await Promise.all([
      this.aws.bedrock(),
      import("@aws-sdk/client-bedrock-runtime"),
    ]);
    return client.send(new ConverseCommand(input), { abortSignal });
  }

  async converseStream(
    input: ConverseCommandInput,
    abortSignal: AbortSignal,
  ): Promise<{ stream?: Events | undefined }> {
    const [client, { ConverseStreamCommand }] = await Promise.all([
      this.aws.bedrock(),
      import("@aws-sdk/client-bedrock-runtime"),
    ]);
    return client.send(new ConverseStreamCommand(input), { abortSignal });
  }
}

/** Reads routes by GetItem, or BatchGetItem when several are due at once. */
export class RouteTable implements RouteReader {
  constructor(
    readonly aws: Aws,
    readonly table: string,
  ) {}

  async read(prompts: readonly string[], ConsistentRead = false): Promise<Map<string, Item | Error>> {
    const [client, sdk] = await Promise.all([this.aws.dynamodb(), import("@aws-sdk/client-dynamodb")]);
    const found = new Map<string, Item | Error>();
    const [only] = prompts;
    if (only !== undefined && prompts.length === 1) {
      const { Item } = await client.send(
        new sdk.GetItemCommand({ TableName: this.table, Key: { prompt: { S: only } }, ConsistentRead }),
      );
      if (Item) found.set(only, plain({ M: Item }) as Item);
      return found;
    }
    let keys: Record<string, AttributeValue>[] = prompts.map((prompt) => ({ prompt: { S: prompt } }));
    while (keys.length) {
      const page = await client.send(
        new sdk.BatchGetItemCommand({ RequestItems: { [this.table]: { Keys: keys, ConsistentRead } } }),
      );
      for (const item of page.Responses?.[this.table] ?? []) {
        const route = plain({ M: item }) as Item;
        found.set(String(route["prompt"]), route);
      }
      const left = page.UnprocessedKeys?.[this.table]?.Keys ?? [];
      if (left.length === keys.length) break;
      keys = left;
    }
    for (const key of keys) found.set(key["prompt"]!.S!, new Unavailable("the route table is throttled"));
    return found;
  }

  /** The name of a prompt given by id or ARN; undefined when it is neither, or no route is of such a prompt. */
  async nameOf(prompt: string): Promise<string | undefined> {
    const id = prompt.startsWith("arn:")
      ? (prompt.slice(prompt.lastIndexOf("prompt/") + 7).split(":")[0] ?? "")
      : prompt;
    if (!/^[0-9A-Za-z]{10}$/.test(id)) return undefined;
    const [client, sdk] = await Promise.all([this.aws.dynamodb(), import("@aws-sdk/client-dynamodb")]);
    const { Items } = await client.send(
      new sdk.QueryCommand({
        TableName: this.table,
        IndexName: "by_id",
        KeyConditionExpression: "prompt_id = :id",
        ExpressionAttributeValues: { ":id": { S: id } },
      }),
    );
    return Items?.[0]?.["prompt"]?.S;
  }
}

/** Remembers whose feedback was counted. */
export interface FeedbackMemory {
  /** Whether this voice (`voiceOf` a receipt) speaks for the first time; marks that it did. */
  first(voice: string, keepSeconds: number): Promise<boolean>;
}

/** By a conditional put; entries expire when no other could come. */
export class FeedbackTable implements FeedbackMemory {
  constructor(
    readonly aws: Aws,
    readonly table: string,
  ) {}

  async first(voice: string, keepSeconds: number): Promise<boolean> {
    const expires = Math.floor(Date.now() / 1000 + keepSeconds);
    try {
      const [client, sdk] = await Promise.all([this.aws.dynamodb(), import("@aws-sdk/client-dynamodb")]);
      await client.send(
        new sdk.PutItemCommand({
          TableName: this.table,
          Item: { receipt: { S: voice }, expires_at: { N: String(expires) } },
          ConditionExpression: "attribute_not_exists(receipt)",
        }),
      );
      return true;
    } catch (error) {
      const { name, message } = error as Error;
      if (name === "ConditionalCheckFailedException") return false;
      throw new Unavailable(
        `the feedback was not counted: the feedback table ${this.table} was not reached (${name}: ${message}); try ` +
          "again, and check its name and dynamodb:PutItem on it",
        { cause: error },
      );
    }
  }
}

/** Sends data points. */
export async function putMetricData(aws: Aws, namespace: string, data: MetricDatum[]): Promise<void> {
  const [client, { PutMetricDataCommand }] = await Promise.all([
    aws.cloudwatch(),
    import("@aws-sdk/client-cloudwatch"),
  ]);
  await client.send(new PutMetricDataCommand({ Namespace: namespace, MetricData: data }));
}

/** The plain value of a DynamoDB attribute value. */
export function plain(value: AttributeValue): unknown {
  if (value.M !== undefined)
    return Object.fromEntries(Object.entries(value.M).map(([name, inner]) => [name, plain(inner)]));
  if (value.L !== undefined) return value.L.map(plain);
  if (value.N !== undefined) return Number(value.N);
  if (value.NULL) return null;
  return value.S ?? value.BOOL ?? value.SS ?? value.NS?.map(Number) ?? value.B;
}
