/** Milliseconds of processor time that f takes: other work of the machine does not count. */
export function cpuTime(f: () => void): number {
  const began = process.cpuUsage();
  f();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1_000;
}
