// What is shown above or below the messages when something is wrong, and what
// is only for screen readers.

import { signal, useSignalEffect } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { bannerFor } from "../state/connection.ts";
import { t } from "../i18n/index.ts";
import { useApp, useAppContext } from "./context.ts";
import { Alert } from "./icons.tsx";

export function ConnectionBanner() {
  const app = useApp();
  const now = useMemo(() => signal(Date.now()), []);
  useSignalEffect(() => {
    if (app.state.value.name === "online") return;
    now.value = Date.now();
    const timer = setInterval(() => { now.value = Date.now(); }, 250);
    return () => clearInterval(timer);
  });
  const b = bannerFor(app.state.value, now.value, app.hasNetwork.value, app.wasOnline.value);
  const locked = app.identity.locked.value !== "";
  const show = b.say !== "nothing" && !locked;
  return (
    <div class={`banner${show ? " shown" : ""}${b.say === "stopped" ? " bad" : ""}`} id="banner" role="status">
      {show && <><span class="spinner" aria-hidden="true" /><BannerText banner={b} />
        {b.say !== "offline" && b.retry && <button type="button" class="link" id="retry" onClick={() => app.connection.retry()}>{t("line.retry")}</button>}</>}
    </div>
  );
}

// The seconds are shown, but not read out: a countdown would interrupt the
// reader every second.
function BannerText({ banner: b }: { banner: ReturnType<typeof bannerFor> }) {
  switch (b.say) {
    case "waiting": return <><span aria-hidden="true">{t("line.waiting", b.seconds)}</span><span class="visually-hidden">{t("line.reconnecting")}</span></>;
    case "nothing": return null;
    default: return <span>{t(`line.${b.say}`)}</span>;
  }
}

/** Why a change of a message failed. */
export function FailureNotice() {
  const app = useApp();
  return (
    <div class="alarm" id="failure" role="alert">
      {app.failure.value !== "" && <p><Alert />{app.failure.value}<button type="button" class="link" onClick={() => { app.failure.value = ""; }}>{t("close")}</button></p>}
    </div>
  );
}

/** New messages of others, for screen readers. */
export function Announcer() {
  const app = useApp();
  return <p class="visually-hidden" id="announcer" aria-live="polite">{app.announcer.text.value}</p>;
}

/** Asks for a token where the server admits no guest. */
export function TokenForm() {
  const { app, facts } = useAppContext();
  const locked = app.identity.locked.value;
  if (locked === "") return null;
  return (
    <form class="token" id="token-form" onSubmit={(e) => {
      e.preventDefault();
      const input = e.currentTarget.elements.namedItem("token") as HTMLInputElement;
      if (input.value.trim() !== "") app.useToken(input.value.trim());
      input.value = "";
    }}>
      <label for="token">{t("token.label")}</label>
      <div class="token-row"><input id="token" name="token" type="password" autocomplete="off" spellcheck={false} maxLength={16384} required /><button type="submit">{t("token.join")}</button></div>
      <p class="hint">{t("token.hint")}</p>
      {facts.developer && !facts.embedded && <p class="hint">{t("token.make")} <code>magpie token new --user NAME</code></p>}
      <p class="field-error" role="alert">{locked === "refused" ? t("token.refused") : ""}</p>
    </form>
  );
}
