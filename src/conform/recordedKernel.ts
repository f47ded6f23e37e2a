/** The rules that a recording asks for: its header says which kernel it was made on. */

import { UsageError } from '../base/usageError.ts';
import { KERNELS } from '../rules/presets.ts';
import type { TraceCase } from './traceFormat.ts';

/** Name of the preset of the kernel a case was recorded on. @throws UsageError when there is none */
export function recordedKernel({ kernel, file }: Pick<TraceCase, 'kernel' | 'file'>): string {
  const version = /^Linux (\d+\.\d+)/.exec(kernel)?.[1];
  const preset = KERNELS.find(({ name }) => name === `linux-${version}`);
  if (preset !== undefined) return preset.name;
  const names = KERNELS.map(({ name }) => name).join(', ');
  throw new UsageError(`${file}:1: kernel: no preset is '${kernel.slice(0, 60)}'; choose one by --kernel (${names})`);
}
