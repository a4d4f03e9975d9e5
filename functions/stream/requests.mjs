// What is asked of the streaming gateway: events of a function URL (payload 2.0), checked before anything is done.

import { Problem } from "./problems.mjs";

export const MAX_BODY_BYTES = 256 * 1024;
export const MAX_MESSAGES = 100;
const KNOWN = { unit: "text", variables: "an object", messages: "a list" };
const WANTED = Object.keys(KNOWN).join(", ");
const MESSAGE = '{"role": "user" or "assistant", "content": [{"text": "..."}]}';

/** {prompt, unit, variables, messages} of an event. Throws a Problem: 400, 404, 405, 413, 415 or 422. */
export function requestOf(event) {
  const prompt = promptOf(event);
  const given = bodyOf(event);
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(KNOWN, name)).sort();
  const wrong = Object.keys(KNOWN).filter((name) => Object.hasOwn(given, name) && kind(given[name]) !== KNOWN[name]);
  const said = [
    ...(unknown.length ? [`unknown: ${unknown.join(", ")}`] : []),
    ...(Object.hasOwn(given, "unit") ? [] : ["missing: unit"]),
    ...wrong.map((name) => `${name} must be ${KNOWN[name]}`),
  ];
  if (said.length) throw new Problem(422, "invalid-request", `${said.join("; ")}; known are ${WANTED}`);
  const messages = given.messages ?? [];
  if (messages.length > MAX_MESSAGES) {
    throw new Problem(422, "invalid-request", `${messages.length} messages; at most ${MAX_MESSAGES}`);
  }
  const odd = messages.findIndex((message) => !isMessage(message));
  if (odd >= 0) throw new Problem(422, "invalid-request", `messages[${odd}] must be ${MESSAGE}`);
  return { prompt, unit: given.unit, variables: given.variables ?? {}, messages };
}

function promptOf(event) {
  const path = event?.rawPath || event?.requestContext?.http?.path || "/";
  const method = String(event?.requestContext?.http?.method ?? "").toUpperCase();
  const parts = path.replace(/^\/+|\/+$/g, "").split("/").map(decoded);
  if (parts.length !== 3 || parts[0] !== "prompts" || parts[2] !== "stream") {
    throw new Problem(404, "not-found", `${path} is not part of this API; POST /prompts/{prompt}/stream is`);
  }
  if (method !== "POST") {
    throw new Problem(405, "method-not-allowed", `${path} takes POST, not ${method}`, { allow: "POST" });
  }
  return parts[1];
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Problem(400, "invalid-request", "the path is not UTF-8; escape what is not ASCII");
  }
}

function bodyOf(event) {
  const headers = Object.entries(event.headers ?? {});
  const type = String(headers.find(([name]) => name.toLowerCase() === "content-type")?.[1] ?? "");
  const media = type.split(";")[0].trim().toLowerCase();
  if (media && media !== "application/json" && !media.endsWith("+json")) {
    throw new Problem(415, "unsupported-media-type", `the body is ${media}; send application/json`);
  }
  const raw = Buffer.from(event.body ?? "", event.isBase64Encoded ? "base64" : "utf8");
  if (raw.length > MAX_BODY_BYTES) {
    const counts = [raw.length, MAX_BODY_BYTES].map((n) => n.toLocaleString("en-US"));
    throw new Problem(413, "body-too-large", `the body has ${counts[0]} bytes; at most ${counts[1]} are read`);
  }
  let found;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(raw));
  } catch (error) {
    const why = error instanceof SyntaxError ? `JSON (${error.message})` : "UTF-8 text";
    throw new Problem(400, "invalid-request", `the body is not ${why}; send an object with ${WANTED}`);
  }
  if (kind(found) !== "an object") {
    throw new Problem(400, "invalid-request", `the body is no JSON object; send an object with ${WANTED}`);
  }
  const torn = tornPlace(found);
  if (torn !== undefined) {
    throw new Problem(400, "invalid-request", `${torn || "the body:"} holds half a surrogate pair; send it as UTF-8`);
  }
  return found;
}

/** The path of the first text within plain data that is no Unicode; undefined where all is. */
function tornPlace(data) {
  const stack = [["", data]];
  while (stack.length) {
    const [place, value] = stack.pop();
    if (typeof value === "string" && !value.isWellFormed()) return place;
    if (Array.isArray(value)) value.forEach((inner, i) => stack.push([`${place}[${i}]`, inner]));
    else if (value && typeof value === "object") {
      for (const [name, inner] of Object.entries(value)) {
        if (!name.isWellFormed()) return place;
        stack.push([place ? `${place}.${name}` : name, inner]);
      }
    }
  }
  return undefined;
}

function kind(value) {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return "text";
  return value && typeof value === "object" ? "an object" : "";
}

function isMessage(message) {
  if (kind(message) !== "an object" || Object.keys(message).sort().join() !== "content,role") return false;
  const { role, content } = message;
  if (!["user", "assistant"].includes(role) || kind(content) !== "a list" || !content.length) return false;
  return content.every((block) => kind(block) === "an object" && Object.keys(block).join() === "text"
    && typeof block.text === "string");
}
