// How an application may use the types; checked by tsc alone, as a module and (test/typed.test.mjs) as CommonJS.

import { PromptClient, ModelCallFailed, type Settings, type Decision } from "promptlane";
import { FakeBedrock, fakeClient, StaticRoutes } from "promptlane/testing";
const s: Settings = { timeout: 5, receiptKey: async () => "x" };
const c = new PromptClient(s);
const d: Decision | undefined = c.routeNow("p", "u");
export async function f(): Promise<string> {
  const a = await c.converse("p", {
    unit: "u",
    variables: { a: "b" },
    messages: [{ role: "user", content: [{ text: "x" }] }],
  });
  // @ts-expect-error variables are texts
  await c.converse("p", { unit: "u", variables: { a: 1 } }).catch((e) => e instanceof ModelCallFailed);
  // @ts-expect-error a unit is needed
  await c.converse("p", {}).catch(() => 0);
  await using client = fakeClient(new StaticRoutes(), new FakeBedrock({ 1: "x" }));
  for await (const piece of await client.converseStream("p", { unit: "u" })) piece.trim();
  return a.text + (d?.version ?? 0) + (await c.feedback(a.receipt ?? "", { positive: true }));
}
