/**
 * The recorded traces as values: what a line of a trace file means once it is known to be well formed.
 * Positions of the address space are page indexes in the window, 0 .. WINDOW_PAGES.
 */

/** The window the traces were recorded in: all of the free address space of a process. */
export const WINDOW_BASE = 0x7f00_0000_0000;
export const WINDOW_PAGES = 4096;
export const TASK_SIZE = 0x7fff_ffff_f000;
export const PAGE_BYTES = 4096;
/** A case has at most so many processes, dead ones included. */
export const MAX_PROCESSES = 4;

export interface TraceHeader {
  /** The kernel the trace was recorded on, in words. */
  readonly kernel: string;
}

/** An address or a length: as the file writes it, and in bytes. Above 2^53 only the page and "misaligned" are exact. */
export interface Operand {
  readonly text: string;
  readonly bytes: number;
}

export const PROTECTIONS = ['none', 'r', 'rw'] as const;
export const MMAP_FLAGS = ['fixed', 'fixed_noreplace', 'populate', 'noreserve', 'locked', 'hugetlb'] as const;
export const MREMAP_FLAGS = ['maymove', 'fixed', 'dontunmap', 'bad8'] as const;
export const MLOCK2_FLAGS = ['onfault', 'bad8'] as const;
export const ADVICE = [
  ...['normal', 'random', 'sequential', 'willneed', 'dontneed', 'free', 'dontfork', 'dofork', 'mergeable'],
  ...['unmergeable', 'wipeonfork', 'keeponfork', 'populate_read', 'populate_write', 'bad'],
] as const;

export type Protection = (typeof PROTECTIONS)[number];

/** The result of a step: a number, an errno name, or the signal that a memory access raised. */
export type Result = number | string;
export const SIGNALS = ['segv_maperr', 'segv_accerr', 'sigbus'] as const;

interface Range {
  readonly p: number;
  readonly at: Operand;
  readonly len: Operand;
}

/** What a step does; the operands of each operation are those of its system call. */
export type Action =
  | {
      readonly op: 'mmap';
      readonly p: number;
      readonly at: Operand | null;
      readonly len: Operand;
      readonly prot: Protection;
      readonly shared: boolean;
      readonly flags: readonly (typeof MMAP_FLAGS)[number][];
    }
  | ({ readonly op: 'mprotect'; readonly prot: Protection } & Range)
  | ({
      readonly op: 'mremap';
      readonly newLen: Operand;
      readonly flags: readonly (typeof MREMAP_FLAGS)[number][];
      readonly to: Operand | null;
    } & Range)
  | ({ readonly op: 'madvise'; readonly advice: string } & Range)
  | ({ readonly op: 'munmap' | 'mlock' | 'munlock' | 'mseal' | 'migrate' } & Range)
  | ({ readonly op: 'mlock2'; readonly flags: readonly (typeof MLOCK2_FLAGS)[number][] } & Range)
  | { readonly op: 'read'; readonly p: number; readonly page: number }
  | { readonly op: 'write'; readonly p: number; readonly page: number; readonly value: number }
  | { readonly op: 'fork'; readonly p: number; readonly child: number }
  | { readonly op: 'exit'; readonly p: number }
  | ({ readonly op: 'pin'; readonly id: number } & Range)
  | { readonly op: 'unpin'; readonly p: number; readonly id: number }
  | { readonly op: 'ksm' };

export type Op = Action['op'];

/** VmFlags mnemonics in the order in which a VMA lists them. */
export const FLAG_NAMES = ['lo', 'lf', 'mg', 'dc', 'wf', 'sl', 'ac', 'nr', 'ht', 'sr', 'rr'] as const;

export interface VmaState {
  readonly start: number;
  readonly end: number;
  readonly perms: string;
  readonly flags: string;
  /** Number of the memory object of a shared or hugetlb mapping, and the first page's offset in it; else null. */
  readonly object: number | null;
  readonly offset: number | null;
}

export interface PageState {
  /** Label of the frame, or 'z' for the zero page. */
  readonly frame: number | 'z';
  readonly mapcount: number;
  readonly letters: string;
  readonly stamp: number;
}

/** Keys are the VMA's start and the page's index. */
export interface ProcessState {
  readonly vmas: ReadonlyMap<number, VmaState>;
  readonly pages: ReadonlyMap<number, PageState>;
}

/** State of every live process, by its number. */
export type TraceState = ReadonlyMap<number, ProcessState>;

/** Changes of one process (format, section 5). */
export interface ProcessDelta {
  readonly gone: boolean;
  readonly like: number | null;
  readonly removedVmas: readonly number[];
  readonly addedVmas: readonly VmaState[];
  readonly removedPages: readonly { readonly start: number; readonly count: number }[];
  readonly addedPages: readonly { readonly start: number; readonly count: number; readonly page: PageState }[];
}

export type Delta = ReadonlyMap<number, ProcessDelta>;

export interface TraceStep {
  readonly action: Action;
  readonly result: Result;
  /** The whole state after the step. */
  readonly after: TraceState;
}

export interface TraceCase {
  readonly id: string;
  readonly family: string;
  /** RLIMIT_MEMLOCK in pages, or null. */
  readonly memlock: number | null;
  readonly steps: readonly TraceStep[];
  /** The kernel it was recorded on, in the words of the file's header. */
  readonly kernel: string;
  /** Where the case stands, for messages. */
  readonly file: string;
  readonly line: number;
}
