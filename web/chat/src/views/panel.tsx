// Beside the room: who is there, and examples of how to publish.

import { compare, t } from "../i18n/index.ts";
import { sorted } from "../state/presence.ts";
import { Avatar } from "./avatar.tsx";
import { showsExamples, useAppContext } from "./context.ts";
import { PublishExamples } from "./publish-examples.tsx";

const maxShown = 100;

export function Panel() {
  const context = useAppContext();
  const { app } = context;
  if (!showsExamples(context)) return <People />;
  return (
    <>
      <People />
      <section class="publish" aria-labelledby="examples-title">
        <h2 id="examples-title">{t("examples")}</h2>
        <p class="lead">{t("examples.lead")}</p>
        <PublishExamples room={app.current.value} />
      </section>
    </>
  );
}

function People() {
  const { app } = useAppContext();
  const members = app.room.value.members.value;
  const me = `user ${app.identity.me.value.user}`;
  const list = members ? sorted(members, compare) : [];
  return (
    <section class="people" aria-labelledby="people-title">
      <h2 id="people-title">{t("people")} <span class="people-number">{list.length > 0 ? list.length : ""}</span></h2>
      {members && list.length === 0 && <p class="hint">{t("people.none")}</p>}
      <ul class="members">
        {list.slice(0, maxShown).map((m) => {
          const name = m.author.name ?? t("author.guest");
          return (
            <li key={m.person} class="member" data-person={m.person}><Avatar author={m.author} name={name} small /><bdi class="member-name">{name}</bdi>
              {m.person === me && <span class="badge you">{t("you")}</span>}
              {m.author.guest && m.person !== me && <span class="badge guest">{t("author.guest")}</span>}
              {m.sessions > 1 && <span class="member-screens" title={t("people.sessions", m.sessions)}>×{m.sessions}</span>}</li>
          );
        })}
      </ul>
      {list.length > maxShown && <p class="hint">+ {list.length - maxShown}</p>}
    </section>
  );
}
