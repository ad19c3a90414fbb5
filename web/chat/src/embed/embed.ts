// The script for pages of other sites:
//
//   <script src="https://magpie.example/embed.js" data-room="support" defer></script>
//
// puts a round button into the corner. A click opens the room in a frame from
// Magpie's origin. The page and the frame cannot reach each other, except by the
// messages below. data-mode="bell" shows the bell, and loads it at once, because
// it counts before it is opened. The page may give its user's
// token: window.magpie = { token } before
// the script, or { token: () => Promise<string> }.

interface Settings { token?: string | (() => Promise<string> | string) }

function start(script: HTMLScriptElement): void {
  const origin = new URL(script.src).origin;
  const mode = script.dataset.mode === "bell" ? "bell" : "room";
  const label = script.dataset.label ?? (mode === "bell" ? "Notifications" : "Chat");
  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "open" }); // the page's styles do not apply
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(style);
  root.adoptedStyleSheets = [sheet];
  const button = buttonFor(label, mode);
  const count = document.createElement("span");
  count.className = "count";
  count.hidden = true;
  button.append(count);
  root.append(button);
  document.body.append(host);

  let unread = 0;
  let frame = mode === "bell" ? makeFrame(origin, script.dataset, mode, label, root) : null;
  const open = () => {
    frame ??= makeFrame(origin, script.dataset, mode, label, root);
    const shown = frame.classList.toggle("open");
    showCount(count, unread, shown);
    button.setAttribute("aria-expanded", String(shown));
    if (shown) frame.focus();
  };
  button.addEventListener("click", open);
  window.addEventListener("keydown", (e) => { if (e.key === "Escape" && frame?.classList.contains("open")) open(); });
  window.addEventListener("message", (e: MessageEvent<{ magpie?: unknown; type?: unknown; count?: unknown } | null>) => {
    if (!frame || e.source !== frame.contentWindow || e.origin !== origin || e.data?.magpie !== 1) return;
    if (e.data.type === "unread" && typeof e.data.count === "number") {
      unread = e.data.count;
      showCount(count, unread, frame.classList.contains("open"));
    } else if (e.data.type === "ready" || e.data.type === "token") void answer(frame, origin);
  });
}

async function answer(frame: HTMLIFrameElement, origin: string): Promise<void> {
  const given = (window as { magpie?: Settings }).magpie?.token;
  const token = typeof given === "function" ? await Promise.resolve().then(given).catch(() => "") : (given ?? "");
  frame.contentWindow?.postMessage({ magpie: 1, type: "token", token }, origin);
}

function makeFrame(origin: string, data: DOMStringMap, mode: string, label: string, root: ShadowRoot): HTMLIFrameElement {
  const frame = document.createElement("iframe");
  const query = new URLSearchParams({ room: data.room ?? "lobby", mode, origin: location.origin });
  frame.src = `${origin}/embed?${query}`;
  frame.title = label;
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox");
  frame.referrerPolicy = "no-referrer";
  root.append(frame);
  return frame;
}

function showCount(at: HTMLElement, n: number, open: boolean): void {
  at.textContent = n > 99 ? "99+" : String(n);
  at.hidden = n === 0 || open;
}

const svg = "http://www.w3.org/2000/svg";
const drawings = {
  room: "M4 5.500h16v10.500H10l-4.500 3.500V16H4z",
  bell: "M12 3.500a5.500 5.500 0 0 0-5.500 5.500c0 5-2 6.500-2 6.500h15s-2-1.500-2-6.500A5.500 5.500 0 0 0 12 3.500zM10 19a2 2 0 0 0 4 0",
};

function buttonFor(label: string, mode: "room" | "bell"): HTMLButtonElement {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.setAttribute("aria-expanded", "false");
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", "0 0 24 24");
  const path = document.createElementNS(svg, "path");
  path.setAttribute("d", drawings[mode]);
  picture.append(path);
  button.append(picture);
  return button;
}

const style = `
:host { all: initial; }
button { position: fixed; right: 20px; bottom: 20px; z-index: 2147483000; display: grid; place-items: center; width: 56px; height: 56px; padding: 0; border: 0; border-radius: 50%; background: #086a83; color: #fff; box-shadow: 0 6px 24px rgb(8 30 40 / 30%); cursor: pointer; }
button:hover { background: #0a7a97; }
button:focus-visible { outline: 3px solid #67c8df; outline-offset: 2px; }
svg { width: 26px; height: 26px; fill: none; stroke: currentColor; stroke-width: 1.800; stroke-linejoin: round; stroke-linecap: round; }
.count { position: absolute; right: -4px; top: -4px; min-width: 20px; padding: 0 5px; box-sizing: border-box; border-radius: 10px; background: #b3261e; font: 600 12px/20px system-ui, sans-serif; text-align: center; }
.count[hidden] { display: none; }
iframe { position: fixed; right: 20px; bottom: 88px; z-index: 2147483000; display: none; width: 384px; height: min(620px, calc(100vh - 108px)); border: 1px solid rgb(16 32 43 / 15%); border-radius: 16px; background: #fff; box-shadow: 0 16px 56px rgb(8 30 40 / 30%); color-scheme: normal; }
iframe.open { display: block; }
@media (max-width: 480px) { iframe { inset: 0; width: 100%; height: 100%; border: 0; border-radius: 0; } iframe.open { height: calc(100% - 76px); } }
`;

// Last, because it uses the constants above.
const script = document.currentScript as HTMLScriptElement | null;
if (script) start(script);
