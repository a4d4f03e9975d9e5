// What applications import: `import { PromptClient } from "promptlane"`.

export { Answer, StreamedAnswer } from "./answer.js";
export type { AwsSettings, Bedrock, FeedbackMemory } from "./aws.js";
export { PromptClient } from "./client.js";
export type { Ask, Doubles, Settings } from "./client.js";
export type { Clock } from "./clock.js";
export { CloudWatchSink } from "./cloudwatch.js";
export { Decision } from "./decision.js";
export type { Extras, Guardrail, Item, Track, Variables } from "./decision.js";
export { EmfSink } from "./emf.js";
export * from "./errors.js";
export type { Directive, Document, Sink } from "./metrics.js";
export { Observation } from "./observation.js";
export type { CallOutcome, Usage } from "./outcome.js";
export type { Keys } from "./receipt-keys.js";
export type { RouteReader } from "./routes.js";
