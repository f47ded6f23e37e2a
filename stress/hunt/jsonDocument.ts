/** Reading documents that come from files: whatever is wrong is refused with the file, the field and the reason. */

import { UsageError } from '../../src/base/usageError.ts';

export interface Refuse {
  (field: string, reason: string): never;
  /** Refuses the field when `check` throws a UsageError. */
  unless(field: string, check: () => unknown): void;
}

/** Reads a document. @throws UsageError `name: field: reason` */
export function parseJsonDocument<Result>(
  text: string,
  name: string,
  read: (value: unknown, refuse: Refuse) => Result,
): Result {
  const refuse = refuserFor(name);
  return read(parseJson(text, refuse), refuse);
}

function refuserFor(name: string): Refuse {
  const refuse = (field: string, reason: string): never => {
    throw new UsageError(`${name}: ${field === '' ? '' : `${field}: `}${reason}`);
  };
  const unless = (field: string, check: () => unknown): void => {
    try {
      check();
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      refuse(field, error.message);
    }
  };
  return Object.assign(refuse, { unless });
}

function parseJson(text: string, refuse: Refuse): unknown {
  if (text.trim() === '') return refuse('', 'the file is empty');
  try {
    return JSON.parse(text);
  } catch (error) {
    const { message } = error as Error;
    const isCut = /end of JSON|Unterminated/i.test(message);
    return refuse('', isCut ? `cut off after ${text.length} characters` : `not JSON: ${message}`);
  }
}
