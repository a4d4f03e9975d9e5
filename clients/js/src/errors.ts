// What the client throws on purpose: the names and the tree of promptlane/client/errors.py.
//
// PromptlaneError
// ├── InvalidInput             the argument that the message names cannot be used
// │   ├── InvalidUnit          the unit is no text, empty, or too long
// │   ├── InvalidVariables     variables are missing, unknown, too many, or no text
// │   └── UnsupportedRoute     the route was written by a newer Promptlane
// ├── NotFound
// │   └── UnknownPrompt        no route under that name
// ├── Unauthorized
// │   └── InvalidReceipt       the receipt was not sealed with this prompt's key, is damaged, or too old
// └── Unavailable
//     ├── RouteUnavailable     no route was ever read, and no fallback is configured
//     └── ModelCallFailed      Bedrock refused or failed; `code` is AWS's error code, `reason` its words
//         ├── RequestRefused       Bedrock does not accept the request itself: trying again is of no use
//         └── StreamInterrupted    after part of the answer was delivered; `text` is that part

export class PromptlaneError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

export class InvalidInput extends PromptlaneError {}
export class NotFound extends PromptlaneError {}
export class Unauthorized extends PromptlaneError {}
export class Unavailable extends PromptlaneError {}

export class InvalidUnit extends InvalidInput {}
export class UnsupportedRoute extends InvalidInput {}
export class UnknownPrompt extends NotFound {}
export class InvalidReceipt extends Unauthorized {}
export class RouteUnavailable extends Unavailable {}

/** The variables do not fit the version; nothing was sent. */
export class InvalidVariables extends InvalidInput {
  constructor(
    message: string,
    readonly missing: readonly string[] = [],
    readonly unknown: readonly string[] = [],
  ) {
    super(message);
  }
}

/** Bedrock did not answer the call. `reason` is what AWS says, for logs: it may name the version. */
export class ModelCallFailed extends Unavailable {
  readonly code: string;
  readonly reason: string;

  constructor(message: string, said: { code: string; reason: string; cause?: unknown }) {
    super(message, { cause: said.cause });
    this.code = said.code;
    this.reason = said.reason;
  }
}

export class RequestRefused extends ModelCallFailed {}

export class StreamInterrupted extends ModelCallFailed {
  readonly text: string;

  constructor(message: string, said: { code: string; reason: string; text: string; cause?: unknown }) {
    super(message, said);
    this.text = said.text;
  }
}
