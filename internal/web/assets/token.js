// The reader's token, for servers that ask for one. It comes from the form or
// from the address (/#token=…, which no server sees) and lives in this tab.

const storageKey = "magpie.token";
let token = "";

/** The token, or "". */
export const current = () => token;

/** Takes the token out of the address, or out of this tab's storage. */
export function start() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    // Out of the address bar at once: addresses are copied and shown.
    history.replaceState(null, "", location.pathname + location.search);
    return keep(given);
  }
  try { token = sessionStorage.getItem(storageKey) ?? ""; } catch { /* storage forbidden: asked again */ }
}

/** Keeps a token; "" forgets it. */
export function keep(value) {
  token = value;
  try {
    if (value) sessionStorage.setItem(storageKey, value);
    else sessionStorage.removeItem(storageKey);
  } catch { /* storage forbidden: it lasts until the page goes */ }
}
