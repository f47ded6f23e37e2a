/** Options that several commands share: same name, same meaning, same limits everywhere. */
import { Option } from 'commander';
import { findBug } from '../../stress/bugs/catalogue.ts';
import { DEFAULT_KERNEL } from '../rules/presets.ts';
import { parseDetectors } from '../../stress/hunt/detectorChoice.ts';
import { kernelPreset } from '../rules/resolve.ts';
import { checkOutputFile } from './outputFile.ts';
import { collectSetting, countBetween, parseDuration, parseSeed } from './parse.ts';

/** Threads of one exploration. */
const MAX_EXPLORERS = 64;

export type ColorMode = 'auto' | 'always' | 'never';

export function jsonOption(): Option {
  return new Option('--json', 'one JSON document on stdout, nothing else');
}

export function outputOption(): Option {
  return new Option('-o, --output <file>', 'write the result to this file, whole or not at all').argParser(
    checkOutputFile,
  );
}

export function quietOption(): Option {
  return new Option('-q, --quiet', 'no progress on stderr');
}

export function verboseOption(): Option {
  return new Option('-v, --verbose', 'every access in the timeline of a finding, not only those that matter');
}

export function minimiseOption(): Option {
  return new Option('--no-minimise', 'leave the schedule of a finding as it was found');
}

export function shardsOption(): Option {
  return new Option('--workers <n>', 'threads that explore; with the same number the result is the same')
    .argParser(countBetween(1, MAX_EXPLORERS))
    .default(1);
}

export function memoryOption(): Option {
  return new Option('--memory <model>', 'sc: a store is seen at once; tso: it passes through a store buffer, as on x86')
    .choices(['sc', 'tso'])
    .default('sc');
}

/** @param byDefault what the command does without it */
export function detectOption(byDefault: string): Option {
  return new Option(
    '--detect <list>',
    `detectors of accesses: races,guards,lifetimes,steps, all or none (default: ${byDefault})`,
  ).argParser(parseDetectors);
}

export function colorOption(): Option {
  return new Option('--color <when>', 'colour of the output').choices(['auto', 'always', 'never']).default('auto');
}

export function seedOption(): Option {
  return new Option('--seed <n>', 'seed of every random choice (drawn and printed when absent)').argParser(parseSeed);
}

export function durationOption(): Option {
  return new Option('--duration <time>', 'how long to run: 500ms, 10s, 2m').argParser(parseDuration);
}

export function countOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser(countBetween(1, Number.MAX_SAFE_INTEGER));
}

export function kernelOption(): Option {
  const parse = (name: string): string => kernelPreset(name).name;
  return new Option('--kernel <name>', 'kernel preset, see mmstorm kernels').argParser(parse).default(DEFAULT_KERNEL);
}

export function setOption(): Option {
  return new Option('--set <rule=value>', 'change one rule (repeatable), see mmstorm rules').argParser(collectSetting);
}

export function bugOption(): Option {
  const parse = (id: string): string => findBug(id).id;
  return new Option('--bug <id>', 'switch a bug of the catalogue on, see mmstorm bugs').argParser(parse);
}
