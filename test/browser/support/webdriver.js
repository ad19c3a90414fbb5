// A real WebKit: the MiniBrowser of Debian's WebKitGTK, driven over WebDriver
// (W3C), on a display of its own. Only what the tests in it need.

import { start, until, freePort, tempDir } from "./process.js";

const machine = { x64: "x86_64", arm64: "aarch64" }[process.arch] ?? process.arch;
const browserPath = process.env.WEBKIT ?? `/usr/lib/${machine}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;
const enter = "\uE007";
const patience = 60_000; // milliseconds for one command

/** Starts WebKit; it ends with the test. A missing one fails it. */
export async function launchWebKit(t) {
  const display = await startDisplay(t);
  const port = await freePort();
  const home = await tempDir(t);
  // It ends with this process, also with one that is killed for taking too long.
  const driver = start("setpriv", ["--pdeathsig", "KILL", "WebKitWebDriver", `--port=${port}`, "--host=127.0.0.1"], {
    env: { ...process.env, DISPLAY: display, HOME: home, XDG_RUNTIME_DIR: home, GDK_BACKEND: "x11", LANG: "en_GB.UTF-8", WEBKIT_DISABLE_COMPOSITING_MODE: "1" },
    detached: true, // a group of its own, so that the browser ends with it, whatever happens
  });
  t.after(() => {
    try { process.kill(-driver.child.pid, "SIGKILL"); } catch { /* it has ended */ }
    return driver.end();
  });
  const call = caller(`http://127.0.0.1:${port}`);
  await until("WebKitWebDriver answers", async () => {
    if (driver.ended) throw new Error(`WebKitWebDriver ended: ${driver.output}`);
    return call("GET", "/status").then((status) => status.ready, () => false);
  });
  const { sessionId } = await call("POST", "/session", {
    capabilities: { alwaysMatch: { "webkitgtk:browserOptions": { binary: browserPath, args: ["--automation"] } } },
  });
  return new Browser((method, path, body) => call(method, `/session/${sessionId}${path}`, body));
}

// A virtual screen: WebKitGTK has no headless mode.
async function startDisplay(t) {
  const server = start("Xvfb", ["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]);
  t.after(() => server.end());
  await until("Xvfb has a display", () => {
    if (server.ended) throw new Error(`Xvfb ended: ${server.output}`);
    return /^\d+$/m.test(server.output);
  });
  return `:${server.output.match(/^\d+$/m)[0]}`;
}

const caller = (base) => async (method, path, body) => {
  const answer = await fetch(base + path, { method, body: body && JSON.stringify(body), signal: AbortSignal.timeout(patience) });
  const { value } = await answer.json();
  if (value?.error) throw new Error(`${path}: ${value.error}: ${value.message}`);
  return value;
};

// One session has one window at a time that commands go to, so they come one
// after the other, each behind the choice of its window and frame.
class Browser {
  #command;
  #last = Promise.resolve();
  #opened = false;

  constructor(command) { this.#command = command; }

  #inTurn(work) {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async open(url) {
    const handle = await this.#inTurn(async () => {
      const first = !this.#opened;
      this.#opened = true;
      return first ? this.#command("GET", "/window") : (await this.#command("POST", "/window/new", { type: "tab" })).handle;
    });
    const page = new Page((frame, work) => this.#inTurn(async () => {
      await this.#command("POST", "/window", { handle });
      await this.#command("POST", "/frame", { id: null });
      if (frame) await this.#command("POST", "/frame", { id: await this.#command("POST", "/execute/sync", { script: `return (${frame})()`, args: [] }) });
      return work(this.#command);
    }));
    await page.goto(url);
    return page;
  }
}

class Page {
  #turn;
  #frame;

  constructor(turn, frame) {
    this.#turn = turn;
    this.#frame = frame;
  }

  goto(url) { return this.#turn(undefined, (command) => command("POST", "/url", { url })); }

  /** Runs a function in the page and returns what it returns, or resolves to. */
  async run(f, ...args) {
    const script = `const done = arguments[1];
      Promise.resolve(arguments[0]).then((args) => (${f})(...args)).then((value) => done({ value }), (error) => done({ error: String(error) }));`;
    const { value, error } = await this.#turn(this.#frame, (command) => command("POST", "/execute/async", { script, args: [args] }));
    if (error) throw new Error(error);
    return value;
  }

  /** Types into a field, with the keyboard, and presses Enter. */
  type(selector, text) {
    return this.#turn(this.#frame, async (command) => {
      const at = await command("POST", "/execute/sync", {
        script: `const field = document.querySelector(arguments[0]); field.focus(); const { x, y } = field.getBoundingClientRect(); return { x, y };`, args: [selector],
      });
      if (this.#frame) { // the keyboard follows a click only; a click waits for ever in a tab that another one covers
        await command("POST", "/frame", { id: null });
        const frame = await command("POST", "/execute/sync", { script: `const { x, y } = (${this.#frame})().getBoundingClientRect(); return { x, y };`, args: [] });
        const [x, y] = [Math.round(at.x + frame.x) + 5, Math.round(at.y + frame.y) + 5];
        await command("POST", "/actions", { actions: [{ type: "pointer", id: "mouse", actions: [
          { type: "pointerMove", x, y }, { type: "pointerDown", button: 0 }, { type: "pointerUp", button: 0 },
        ] }] });
      }
      const keys = [...text, enter].flatMap((value) => [{ type: "keyDown", value }, { type: "keyUp", value }]);
      await command("POST", "/actions", { actions: [{ type: "key", id: "keyboard", actions: keys }] });
    });
  }

  /** The frame that find, a function that runs in the page, returns the element of. */
  frame(find) { return new Page(this.#turn, find); }
}
