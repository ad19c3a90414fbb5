// Child processes and directories of a test. They are gone when it ends.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

// Ports for servers are below those that systems take for outgoing connections
// (from 32768 on): a connection of another test cannot take the port of a server
// that is not started yet, or is killed and comes back.
const [firstPort, portCount] = [12_000, 20_000];
let nextPort = Math.floor(Math.random() * portCount);

/** A port that was free a moment ago: the wished one if it is, else any. */
export function freePort(wished = firstPort + nextPort++ % portCount) {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", (error) => (error.code === "EADDRINUSE" ? freePort().then(resolve, reject) : reject(error)));
    server.listen(wished, "localhost", () => server.close(() => resolve(wished)));
  });
}

/** A directory that is removed when the test ends. */
export async function tempDir(t) {
  const dir = await mkdtemp(join(tmpdir(), "magpie-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/**
 * Starts a program and keeps what it says. A program that cannot be started
 * fails the test with its name.
 */
export function start(program, args, options = {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  const running = { child, output: "", ended: false };
  const gone = new Promise((resolve) => {
    child.once("exit", resolve);
    child.once("error", (error) => {
      running.output += `cannot start ${program}: ${error.message}`;
      resolve();
    });
  }).then(() => { running.ended = true; });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => { running.output += text; });
  running.end = async (signal = "SIGKILL") => {
    child.kill(signal);
    await gone;
  };
  return running;
}

/** Runs a program to its end and returns what it printed; a failure throws. */
export async function run(program, args) {
  const running = start(program, args);
  await new Promise((resolve) => { running.child.once("close", resolve).once("error", resolve); });
  if (running.child.exitCode !== 0) throw new Error(`${program} ${args.join(" ")}: ${running.output}`);
  return running.output.trim();
}

/** Waits until check returns something true; fails after ten seconds. */
export async function until(what, check, milliseconds = 30_000) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const found = await check();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await pause(20);
  }
}
