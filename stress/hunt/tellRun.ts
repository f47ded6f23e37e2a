/** How a failing execution is told to people. */

/** Lines about a recorded execution: who is who, and the schedule. */
export function tellRun(schedule: string, threads: readonly string[]): string[] {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  return [...threads.map((thread, index) => `  thread ${letters[index]}:  ${thread}`), `  schedule:  ${schedule}`];
}
