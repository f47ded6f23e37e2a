/** Bad input from outside: an option, a config, a trace, a case file. One line, exit code 2, never a stack trace. */
export class UsageError extends Error {
  override name = 'UsageError';
}
