import { signal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { Refused } from "../client/http.ts";
import { askPermission, permission } from "../control/notify.ts";
import type { Theme } from "../control/settings.ts";
import { type Language, language, t } from "../i18n/index.ts";
import { focusComposer, openDialog, showsExamples, useAppContext } from "./context.ts";
import { Help } from "./icons.tsx";

/** The reader's name, and how the app looks, sounds and notifies. */
export function Settings() {
  const context = useAppContext();
  const { app, facts } = context;
  const s = app.options.settings;
  return (
    <div class="settings">
      <Name />
      <fieldset class="choice"><legend>{t("settings.language")}</legend>
        {(["en", "zh-CN"] as const).map((l) => <Choice key={l} name="language" label={l === "en" ? "English" : "简体中文"} lang={l} on={language.value === l} choose={() => s.setLanguage(l satisfies Language)} />)}
      </fieldset>
      <fieldset class="choice"><legend>{t("settings.theme")}</legend>
        {(["system", "light", "dark"] as const).map((v) => <Choice key={v} name="theme" label={t(`theme.${v}`)} on={s.theme.value === v} choose={() => { s.theme.value = v satisfies Theme; }} />)}
      </fieldset>
      <Notify />
      <label class="switch"><input type="checkbox" role="switch" checked={s.sound.value} onChange={(e) => { s.sound.value = e.currentTarget.checked; }} /><span>{t("settings.sound")}</span></label>
      <label class="switch"><input type="checkbox" role="switch" checked={showsExamples(context)} onChange={(e) => { s.examples.value = e.currentTarget.checked; }} /><span>{t("settings.examples")}</span></label>
      <p class="settings-foot">
        <button type="button" class="link with-icon" onClick={() => { openDialog.value = "help"; }}><Help />{t("help")}</button>
        <a href="/classic">{t("footer.classic")}</a>
        {facts.version !== "" && <span>Magpie {facts.version}</span>}
      </p>
    </div>
  );
}

function Choice({ name, label, on, choose, lang }: { name: string; label: string; on: boolean; choose: () => void; lang?: string }) {
  return <label class="choice-one"><input type="radio" name={name} checked={on} onChange={choose} /><span lang={lang}>{label}</span></label>;
}

function Name() {
  const { app } = useAppContext();
  const me = app.identity.me.value;
  const problem = useMemo(() => signal(""), []);
  if (!me.guest) return <p class="hint"><strong><bdi>{me.name}</bdi></strong> · {t("name.token")}</p>;
  const save = async (name: string) => {
    if (name === me.name) return void (openDialog.value = "");
    if (name === "" || [...name].length > 40) return void (problem.value = t("name.bad"));
    try {
      await app.rename(name);
      openDialog.value = "";
      focusComposer();
    } catch (e) {
      problem.value = e instanceof Refused && e.status < 500 ? t("name.bad") : t("name.failed");
    }
  };
  return (
    <form class="name-form" onSubmit={(e) => {
      e.preventDefault();
      void save((e.currentTarget.elements.namedItem("name") as HTMLInputElement).value.trim());
    }}>
      <label for="your-name">{t("name.label")}</label>
      <div class="token-row"><input id="your-name" name="name" maxLength={40} defaultValue={me.name} autocomplete="nickname" spellcheck={false} autofocus aria-describedby="name-problem" onInput={() => { problem.value = ""; }} />
        <button type="submit">{t("name.save")}</button></div>
      <p class="field-error" id="name-problem" role="alert">{problem.value}</p>
    </form>
  );
}

function Notify() {
  const { app } = useAppContext();
  const s = app.options.settings;
  const state = useMemo(() => signal(permission()), []);
  const denied = state.value === "denied";
  const set = async (on: boolean) => {
    if (on && state.value === "default") state.value = await askPermission(); // allowed now, because of the click
    s.notify.value = on && state.value === "granted";
  };
  return (
    <>
      <label class="switch"><input type="checkbox" role="switch" checked={s.notify.value && !denied} disabled={denied} onChange={(e) => void set(e.currentTarget.checked)} /><span>{t("settings.notify")}</span></label>
      {denied && <p class="hint">{t("settings.notify.denied")}</p>}
    </>
  );
}
