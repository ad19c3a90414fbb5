// The official client's own decoder against the differences that the server
// writes: the vectors are those of the Go tests.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import test from "node:test";

const vectors = new URL("../../internal/protocol/centrifuge/fossil/testdata/vectors.json", import.meta.url);

// The decoder is not exported, so it is cut out of the library's file.
async function decoder() {
  const library = await readFile(createRequire(import.meta.url).resolve("centrifuge"), "utf8");
  const from = library.indexOf("const zValue");
  const to = library.indexOf("class JsonCodec");
  assert.ok(from > 0 && to > from, "the library has its decoder elsewhere now");
  return new Function(`${library.slice(from, library.lastIndexOf("}", to) + 1)}\nreturn applyDelta;`)();
}

test("the official decoder makes the target of every vector", async () => {
  const applyDelta = await decoder();
  const bytes = (base64) => new Uint8Array(Buffer.from(base64 ?? "", "base64"));
  const list = JSON.parse(await readFile(vectors, "utf8"));
  assert.ok(list.length > 10);
  for (const { name, source, target, delta } of list) {
    assert.deepEqual(Buffer.from(applyDelta(bytes(source), bytes(delta))), Buffer.from(bytes(target)), name);
  }
});
