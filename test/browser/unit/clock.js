// A clock that moves only when a test says so.

export function createClock() {
  let time = 1_000_000;
  let timers = [];
  return {
    now: () => time,
    after(ms, f) {
      const timer = { at: time + ms, f };
      timers.push(timer);
      return () => { timers = timers.filter((t) => t !== timer); };
    },
    /** Moves on and runs what falls due, in order. */
    async pass(ms) {
      const end = time + ms;
      for (;;) {
        const due = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
        if (!due) break;
        timers = timers.filter((t) => t !== due);
        time = due.at;
        due.f();
        await settle();
      }
      time = end;
    },
    waiting: () => timers.length,
  };
}

/** Lets every promise that can go on go on. */
export async function settle() {
  for (let i = 0; i < 20; i++) await null;
}
