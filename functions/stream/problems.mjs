// Errors as problem details (RFC 9457), as functions/gateway has them: tests/unit/functions/test_stream.py holds both alike.

const TIMEOUTS = new Set(["ReadTimeoutError", "ConnectTimeoutError", "ModelTimeoutException", "TimeoutError"]);
const THROTTLES = new Set(["ThrottlingException", "TooManyRequestsException"]);
const BY_NAME = {
  InvalidVariables: [422, "invalid-variables"],
  InvalidUnit: [422, "invalid-unit"],
  UnsupportedRoute: [503, "unsupported-route"],
  UnknownPrompt: [404, "unknown-prompt"],
  RouteUnavailable: [503, "route-unavailable"],
  RequestRefused: [422, "request-refused"],
  InvalidInput: [400, "invalid-request"],
  Unavailable: [503, "temporarily-unavailable"],
};

/** An HTTP error answer. `kind` becomes its type, `extra` further members. */
export class Problem extends Error {
  constructor(status, kind, detail, extra = {}) {
    super(detail);
    this.status = status;
    this.kind = kind;
    this.extra = extra;
  }

  body() {
    return {
      type: `urn:promptlane:problem:${this.kind}`,
      title: (this.kind[0].toUpperCase() + this.kind.slice(1)).replaceAll("-", " "),
      status: this.status,
      detail: this.message,
      ...this.extra,
    };
  }

  headers() {
    return {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      ...("allow" in this.extra && { allow: this.extra.allow }),
      ...([429, 503].includes(this.status) && { "retry-after": "2" }),
    };
  }
}

/** The problem that an error of the client is to whoever asked. Errors are told by name: a bundle has its own classes. */
export function problemOf(error) {
  if (error instanceof Problem) return error;
  const code = typeof error.code === "string" ? { code: error.code } : {};
  if (error.name === "ModelCallFailed" || error.name === "StreamInterrupted") {
    if (THROTTLES.has(error.code)) return new Problem(429, "model-throttled", error.message, code);
    if (TIMEOUTS.has(error.code)) return new Problem(504, "deadline-exceeded", error.message, code);
    return new Problem(502, "model-call-failed", error.message, code);
  }
  const known = BY_NAME[error.name];
  if (!known) return new Problem(500, "internal-error", "the function failed; its log says why");
  const extra = error.name === "RequestRefused" ? code : {};
  for (const field of ["missing", "unknown"]) if (error[field]?.length) extra[field] = [...error[field]];
  return new Problem(known[0], known[1], error.message, extra);
}
