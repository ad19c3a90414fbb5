// What is asked over HTTP, and what a refusal says.

import { afterEach, expect, test, vi } from "vitest";
import { httpAPI, Refused } from "../../src/client/http.ts";

afterEach(() => vi.unstubAllGlobals());

function answering(body: unknown, status = 200) {
  const requests: { url: string; init: RequestInit }[] = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    requests.push({ url, init });
    return new Response(typeof body === "string" ? body : JSON.stringify(body), { status });
  });
  return requests;
}

test("a page of a log: the position, the limit, and the token in a header", async () => {
  const requests = answering({ messages: [{ offset: 1 }, { offset: 2 }], epoch: "e", offset: 9, next: "e.2" });
  const page = await httpAPI.history("chat:項/x", "token", { since: { epoch: "e", offset: 3 }, limit: 40 });
  expect(page).toEqual({ messages: [{ offset: 1 }, { offset: 2 }], epoch: "e", offset: 9, gap: false, more: true });
  expect(requests[0]!.url).toBe("/history/chat%3A%E9%A0%85%2Fx?limit=40&since=e.3");
  expect(requests[0]!.init).toMatchObject({ headers: { "X-Magpie-Token": "token" }, cache: "no-store" });
});

test("a page that is read backwards comes in the log's order; without a token there is no header", async () => {
  const requests = answering({ messages: [{ offset: 2 }, { offset: 1 }], epoch: "e", offset: 2, gap: { at: 1 } });
  const page = await httpAPI.history("chat", "", { limit: 40, reverse: true });
  expect(page).toMatchObject({ messages: [{ offset: 1 }, { offset: 2 }], gap: true });
  expect(requests[0]!.url).toBe("/history/chat?limit=40&reverse=true");
  expect(requests[0]!.init.headers).toEqual({});
});

test("a channel without a log has no position", async () => {
  answering({ messages: [] });
  expect(await httpAPI.history("chat", "", { limit: 1 })).toEqual({ messages: [], epoch: "", offset: 0, gap: false, more: false });
});

test("a guest is asked for with what is known", async () => {
  const requests = answering({ token: "t" });
  await httpAPI.guest("", "");
  await httpAPI.guest("old", "Ann");
  expect(requests.map((r) => [r.url, r.init.method, r.init.body])).toEqual([["/guest", "POST", "{}"], ["/guest", "POST", '{"token":"old","name":"Ann"}']]);
});

test("a refusal has its status, and its sentence where there is one", async () => {
  answering({ error: { message: "no" } }, 403);
  await expect(httpAPI.guest("", "")).rejects.toMatchObject({ status: 403, message: "no" });
  for (const body of ["<html>", "{}", '{"error":{"message":7}}']) {
    answering(body, 502);
    const refusal = await httpAPI.guest("", "").catch((e: unknown) => e);
    expect(refusal).toBeInstanceOf(Refused);
    expect(refusal).toMatchObject({ status: 502, message: "" });
  }
});
