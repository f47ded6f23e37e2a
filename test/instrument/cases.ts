/** Snippets that are easy to rewrite wrongly. Each exports `main`; the harness compares what the builds do. */

interface Snippet {
  readonly name: string;
  readonly code: string;
}

const HEAD = `import type { Access, Sim } from './sim.ts';
import { type Addr, type Cell, type Step, type Visitor, add, cell, get, isSet, note, put, word } from './memory.ts';
`;

function snippet(name: string, code: string): Snippet {
  return { name, code: HEAD + code };
}

export const EXPRESSIONS: readonly Snippet[] = [
  snippet('two points in one expression', `export function main(): Sim<number> { return get(1) * 100 + get(2); }`),
  snippet(
    'arguments in order',
    `
    function f(a: number, b: number, c: number): Sim<number> { note(a, b, c); return get(c - 10); }
    export function main(): Sim<number> { return f(get(0), get(1), get(2)) + f(add(3, 1), add(3, 1), 14); }`,
  ),
  snippet(
    'points inside points',
    `export function main(): Sim<number> { return get(get(get(0) - 9) - 10 + get(7) - 16); }`,
  ),
  snippet(
    'short circuits',
    `
    function yes(at: number): Sim<boolean> { return get(at) > 0; }
    export function main(): Sim<unknown> {
      const a = isSet(1) || isSet(2); const b = !isSet(1) && isSet(2); const c = word(3) ?? word(4);
      const d = yes(1) || yes(2); const e = (isSet(5) && yes(6)) || get(7); let g: number | null = null; g ??= get(1); g &&= get(2); g ||= get(3);
      return [a, b, c, d, e, g].join();
    }`,
  ),
  snippet(
    'conditionals',
    `
    function f(at: number): Sim<number> { return add(at, 1); }
    export function main(): Sim<unknown> { return [isSet(0) ? get(1) : get(2), get(0) > 100 ? f(1) : f(2), isSet(1) ? f(1) : 0].join(); }`,
  ),
  snippet(
    'templates',
    '\nexport function main(): Sim<string> { return `a${get(0)}b${`${get(1)}c`}${word(2)}${isSet(3)}`; }',
  ),
  snippet(
    'void results',
    `
    export function main(): Sim<unknown> {
      put(0, 1); void put(1, 2); const nothing = put(2, 3); (put(3, 4)); void get(1); if (isSet(0)) put(4, 5); else put(4, 6);
      return [nothing, put(5, get(5))].length;
    }`,
  ),
  snippet(
    'compound assignment and updates',
    `
    export function main(): Sim<unknown> { let x = 1; x += get(0); x -= get(1) * x; const o = { n: 1 }; o.n += get(x + 110); o['n'] *= add(1, 1); return [x, o.n].join(); }`,
  ),
  snippet(
    'comma, delete, typeof, in',
    `
    export function main(): Sim<unknown> { const o: Record<string, number> = { w10: 1 }; let x = (get(0), get(1)); delete o[word(0) ?? '']; x += 1; return [x, Object.keys(o).length, typeof get(1), 'a' in { a: get(2) }].join(); }`,
  ),
  snippet(
    'new with arguments and computed members',
    `
    export function main(): Sim<unknown> { const list = new Array<number>(get(0)); list[get(1) - 10] = get(2); const m = new Map([[get(0), get(1)]]); return [list.length, list[1], m.get(10), [5, 6, 7][get(2) - 11]].join(); }`,
  ),
  snippet(
    'spread, arrays, objects',
    `
    export function main(): Sim<unknown> { const a = [...[get(0), get(1)], get(2)]; const o = { x: get(3), [word(4) ?? '']: get(5), ...{ y: get(6) } }; const { x, ...rest } = o; return JSON.stringify([a, x, rest, Math.max(...a, get(7))]); }`,
  ),
  snippet(
    'destructuring defaults in a body',
    `
    export function main(): Sim<unknown> { const { a = get(0), b = get(1) } = { b: 5 } as { a?: number; b?: number }; const [c = get(2), d = get(3)] = [7]; return [a, b, c, d].join(); }`,
  ),
  snippet(
    'exponent and unary',
    `export function main(): Sim<unknown> { return [2 ** (get(0) - 8), -get(1), +get(2), ~get(3), !get(4), (-get(0)) ** 2].join(); }`,
  ),
  snippet(
    'types around calls',
    `
    function id<T>(x: T): Sim<T> { put(0, 1); return x; }
    export function main(): Sim<unknown> { const a = get(1)! as number; const b = <number>get(2); const c = id<number>(get(3)) satisfies number; const d = (id<string>)('q'); return [a, b, c, d, (get(1) as Addr) + 1].join(); }`,
  ),
  snippet(
    'optional calls',
    `
    interface Box { visit?: Step; inner?: Box }
    const step = (at: number): Sim<number> => add(at, 1);
    export function main(): Sim<unknown> {
      const full: Box = { visit: step, inner: { visit: step } }; const empty: Box = {}; let count = 0; const side = (): Box => { count++; return empty; };
      const none: Step | null = isSet(0) ? null : step; const some: Step | null = isSet(0) ? step : null;
      full.visit?.(1); empty.visit?.(2);
      return [full.visit?.(7)!, full.visit!(7), full.visit?.(get(0) - 8), empty.visit?.(get(1)), full.inner?.visit?.(3), empty.inner?.visit?.(add(3, 1)), side().visit?.(1), count, none?.(4), some?.(4)].join();
    }`,
  ),
  snippet(
    'access methods, optional',
    `
    export function main(): Sim<unknown> { const c: Cell | null = isSet(0) ? cell(1) : null; const n: Cell | null = isSet(0) ? null : cell(1); return [c?.peek(), n?.peek(), c!.peek(), cell(get(2) - 10).peek()].join(); }`,
  ),
  snippet(
    'numbers, booleans, strings and nothing share the runtime',
    `
    export function main(): Sim<unknown> { return [get(1), isSet(1), word(1), put(1, 0), word(1), isSet(1), get(1)].join(); }`,
  ),
];

export const STATEMENTS: readonly Snippet[] = [
  snippet(
    'no semicolons',
    `
    function f(at: number): Sim<number> { return add(at, 1) }
    export function main(): Sim<unknown> {
      const list = [1, 2, 3]
      let x = list.length
      f(1)
      get(1)
      put(2, 5)
      f(2).toFixed()
      get(3).toFixed()
      isSet(4) && put(4, 1)
      const o = { a: 1 }
      get(5) > 0 ? note('yes') : note('no')
      const p = o
      f(1) + 1
      x++
      f(3)
      ;[x] = [f(4)]
      return x + p.a
    }`,
  ),
  snippet(
    'return over lines',
    `
    function f(at: number): Sim<number> { return get(at); }
    export function main(): Sim<unknown> { const a = (): Sim<number> => { return (
        // a comment
        f(1) /* another */
      ); }; return (
      a() + f(
        2,
      )); }`,
  ),
  snippet(
    'loops',
    `
    function less(at: number, than: number): Sim<boolean> { return get(at) < than; }
    export function main(): Sim<unknown> {
      let n = 0;
      for (let i = get(0) - 10; less(0, 13) && i < get(1); i += add(0, 1) > 0 ? 1 : 2) { if (i === 1) continue; n += i; }
      while (less(1, 14)) add(1, 1);
      do n++; while (less(2, 15) && add(2, 1) < 100);
      for (const x of [get(3), get(4)]) { if (x === get(4)) break; put(5, x); }
      for (const k in { a: get(5), b: 1 }) note(k, get(6));
      return n;
    }`,
  ),
  snippet(
    'for-of head takes a list from a Sim function',
    `
    function items(): Sim<number[]> { return [get(1), get(2)]; }
    export function main(): Sim<unknown> { let n = 0; for (const item of items()) n += item * add(3, 1); for (const [k, v] of Object.entries({ a: get(4) })) note(k, v); return n; }`,
  ),
  snippet(
    'labels and switch',
    `
    function f(at: number): Sim<number> { return get(at); }
    export function main(): Sim<unknown> {
      let n = 0;
      outer: for (let i = 0; i < 3; i++) { inner: for (;;) { if (f(i) === 11) continue outer; if (isSet(i)) break inner; } n += i; }
      switch (f(2)) { case f(1): n += 100; break; case get(2): n += 200; /* falls on */ case f(3): n += 1000; break; default: n += f(4); }
      block: { if (isSet(1)) break block; n = -1; }
      return n;
    }`,
  ),
  snippet(
    'try, catch, finally, throw',
    `
    function f(at: number): Sim<number> { try { if (get(at) > 12) throw new Error('high ' + get(at)); return get(at); } finally { put(at, 0); } }
    export function main(): Sim<unknown> { const out: unknown[] = []; for (const at of [1, 4]) { try { out.push(f(at)); } catch (e) { out.push((e as Error).message, add(at, 5)); } finally { note('finally', get(at)); } } return out.join(); }`,
  ),
  snippet(
    'an exception leaves',
    `
    function f(): Sim<void> { put(1, 1); throw new RangeError('r' + get(1)); }
    export function main(): Sim<unknown> { f(); return get(2); }`,
  ),
  snippet(
    'recursion',
    `
    function fib(n: number): Sim<number> { return n < 2 ? get(n) - 10 : fib(n - 1) + fib(n - 2); }
    export function main(): Sim<number> { return fib(9); }`,
  ),
  snippet(
    'deep recursion',
    `
    function down(n: number): Sim<number> { return n === 0 ? get(0) : down(n - 1) + 1; }
    export function main(): Sim<number> { return down(1500); }`,
  ),
  snippet(
    'var and hoisting',
    `
    export function main(): Sim<unknown> { const r = later(1); var x = get(r - 11); return x + (function inner(at: number): Sim<number> { return at > 1 ? get(at) : inner(at + 1); })(0); function later(at: number): Sim<number> { return get(at); } }`,
  ),
  snippet(
    'carriage returns',
    `
    function f(at: number): Sim<number> {\r\n  // comment\r\n  return get(at)\r\n}\r\nexport function main(): Sim<unknown> {\r\n  const a = f(1)\r\n  f(2)\r\n  return a\r\n}\r\n`,
  ),
  snippet(
    'other alphabets',
    `
    function größe(über: number): Sim<string> { const été = get(über); return \`größe 😀 \${été}\${get(2)} 漢字\`; }
    export function main(): Sim<string> { const 名 = '😀😀'; return 名 + größe(1) + /* 😀 */ get(3); }`,
  ),
  snippet(
    'look-alikes in strings, comments and patterns',
    `
    // function fake(): Sim<number> { return get(1); }
    /* get(1); (): Sim<void> => {} */
    export function main(): Sim<unknown> { const s = 'get(1) yield* => function* (): Sim<void>'; const r = /get\\(1\\) => \\/\\* /.test(s); const t = \`put(1, \${get(1)}) get(2)\`; return [s, r, t].join(); }`,
  ),
  snippet(
    'a directive and an empty statement',
    `
    export function main(): Sim<unknown> { 'not a directive of ours'; ;; get(1); return get(2) }`,
  ),
];

export const FUNCTIONS: readonly Snippet[] = [
  snippet(
    'arrows of every form',
    `
    const a = (at: number): Sim<number> => get(at);
    const b = (at: number): Sim<number> /* => */ => // =>
      get(at) + a(at);
    const c = <T,>(x: T): Sim<T> => { put(0, 1); return x; };
    const d = (): Sim<{ v: number }> => ({ v: get(1) });
    const e = ({ at = 1 }: { at?: number }, [x = 2]: number[] = [], ...rest: number[]): Sim<number> => get(at) + x + rest.length;
    const f = (n: number): Sim<Step> => (at: number): Sim<number> => get(at) + n;
    const g = (x: number): Sim<void> => void put(0, x);
    export const main = (): Sim<unknown> => [a(1), b(2), c('q'), d().v, e({}, [], 1, 2), f(100)(3), g(4), ((at: number): Sim<number> => get(at))(5)].join();`,
  ),
  snippet(
    'overloads and generics',
    `
    function f(at: number): Sim<number>;
    function f(at: string, more: number): Sim<string>;
    function f(at: number | string, more = 2): Sim<number | string> { return typeof at === 'number' ? get(at) : at + get(more); }
    export function main(): Sim<unknown> { return [f(1), f('x', 3)].join(); }`,
  ),
  snippet(
    'methods',
    `
    class Base { protected at = 1; #hidden(): Sim<number> { return get(this.at); } public static make(at: number): Sim<Base> { const b = new Base(); b.at = get(at) - 10; return b; } reveal(): Sim<number> { return this.#hidden() + this.inc(); } inc(): Sim<number> { return add(this.at, 1); } 'quoted'(): Sim<number> { return arguments.length + get(1); } }
    class Derived extends Base { override inc(): Sim<number> { return super.inc() + 100; } field = (at: number): Sim<number> => get(at); }
    const object = { base: 5, take(n: number): Sim<number> { return this.base + get(n); }, give: (n: number): Sim<number> => get(n), old: function (n: number): Sim<number> { return get(n); } };
    export function main(): Sim<unknown> { const d = new Derived(); return [Base.make(2).reveal(), d.reveal(), d.field(3), d.quoted(), object.take(1), object['give'](2), object.old(3)].join(); }`,
  ),
  snippet(
    'tables of Sim functions in this',
    `
    class A { table: Record<string, Step> = { first: (at: number): Sim<number> => get(at) }; static steps: Step[] = [(at: number): Sim<number> => add(at, 2)]; run(name: string): Sim<unknown> { const { table } = this; return [this.table[name](1), A.steps[0](2), table[name](2), this.table.first(5), A.all()].join(); } static all(): Sim<number> { return this.steps[0](3); } }
    const o = { list: [(at: number): Sim<number> => get(at)] as Step[], run(): Sim<number> { return this.list[0](4); } };
    export function main(): Sim<unknown> { return [new A().run('first'), o.run()].join(); }`,
  ),
  snippet(
    'this of plain arrows inside methods',
    `
    class A { n = 3; run(): Sim<unknown> { const plus = (x: number): number => this.n + x; return plus(get(1)) + [1, 2].map((x) => x * this.n).join(); } }
    export function main(): Sim<unknown> { return new A().run(); }`,
  ),
  snippet(
    'callbacks',
    `
    function each(list: readonly number[], f: (x: number, i: number) => Sim<boolean>): Sim<number> { let n = 0; for (let i = 0; i < list.length; i++) if (f(list[i], i)) n++; return n; }
    function twice(f: Step, at: number): Sim<number> { return f(at) + f(at); }
    function pick(first: boolean): Sim<Step> { put(0, 1); return first ? one : two; }
    function one(at: number): Sim<number> { return get(at); }
    function two(at: number): Sim<number> { return add(at, 1); }
    export function main(): Sim<unknown> {
      let seen = 0; const steps: Step[] = [one, two]; const named: Record<string, Step> = { one, two };
      const n = each([1, 2, 3], (x: number): Sim<boolean> => { seen += get(x); return x > 1; });
      return [n, seen, twice(one, 1), twice(two, 2), pick(true)(3), pick(isSet(9))(4), steps[1](5), named['one'](6), named.two(6), steps[get(0) - 1](7), (isSet(0) ? one : two)(1)].join();
    }`,
  ),
  snippet(
    'visitors by name',
    `
    const plain: Visitor = { name: 'plain', visit(at: number): Sim<number> { return get(at); } };
    const leaving: Visitor = { name: 'leaving', visit: (at: number): Sim<number> => add(at, 1), leave: (at: number): Sim<void> => put(at, 0) };
    function walk(visitor: Visitor): Sim<number> { let sum = 0; for (const at of [1, 2]) { sum += visitor.visit(at); if (visitor.leave) visitor.leave(at); } const { visit } = visitor; return sum + visit(3); }
    export function main(): Sim<unknown> { return [plain, leaving].map((v) => v.name).join() + walk(plain) + walk(leaving); }`,
  ),
  snippet(
    'Access functions are one step',
    `
    function pair(at: number): Access<number> { put(at, get(at) + 1); return get(at) * get(at + 1); }
    const sum = (list: readonly number[]): Access<number> => list.reduce((n, at) => n + at, get(0));
    export function main(): Sim<unknown> { return [pair(1), sum([1, 2]), pair(2)].join(); }`,
  ),
  snippet(
    'plain helpers, generators and async neighbours',
    `
    function* count(n: number): Generator<number> { for (let i = 0; i < n; i++) yield i; }
    const double = (x: number): number => x * 2;
    export const later = async (): Promise<number> => 1;
    export function main(): Sim<unknown> { let n = 0; for (const i of count(3)) n += double(get(i)); return n; }`,
  ),
  snippet(
    'local classes and closures in loops',
    `
    export function main(): Sim<unknown> { const fs: Step[] = []; for (let i = 0; i < 3; i++) { class Local { k = i * 10; run(at: number): Sim<number> { return get(at) + this.k; } } const local = new Local(); fs[i] = (at: number): Sim<number> => local.run(at) + i; } let n = 0; for (const f of fs) n += f(1); return n; }`,
  ),
  snippet(
    'names that shadow',
    `
    export function main(): Sim<unknown> { const a = get(1); { const get = (at: number): number => at * 1000; note(get(2)); } function inner(put: (x: number) => void): Sim<number> { put(get(3)); return a; } return inner((x) => note('put', x)); }`,
  ),
  snippet(
    'default export and renamed names',
    `
    import { get as read, add as increase } from './memory.ts';
    function f(): Sim<number> { return read(1) + increase(2, 3); }
    export { f as g };
    export default function main(): Sim<unknown> { return f() + read(2); }`,
  ),
  snippet(
    'await and yield as property names',
    `
    export function main(): Sim<unknown> { const o = { await: get(1), yield: get(2), async: 3, function: get(3) }; return o.await + o.yield + o.async + o.function; }`,
  ),
  snippet(
    "private names are the class's own",
    `
    class A { #go(): Sim<number> { return get(1); } #step: Step = (at: number): Sim<number> => get(at); static #make(): Sim<A> { put(1, 5); return new A(); } static run(): Sim<unknown> { const a = A.#make(); return [a.#go(), a.#step(2), a?.#step(3)].join(); } }
    class B { #go(): string { return 'plain'; } run(): Sim<unknown> { return this.#go() + get(2); } }
    export function main(): Sim<unknown> { return A.run() + '' + new B().run(); }`,
  ),
  snippet(
    'constructors take callbacks, parameters have defaults',
    `
    class Runner { readonly step: Step; constructor(step: Step) { this.step = step; } run(at: number): Sim<number> { return this.step(at); } }
    const fallback: Step = (at: number): Sim<number> => add(at, 1);
    function use(at: number, step: Step = fallback, { more = fallback }: { more?: Step } = {}): Sim<number> { return step(at) + more(at); }
    function one(at: number): Sim<number> { return get(at); }
    export function main(): Sim<unknown> { return [new Runner(one).run(1), new Runner((at: number): Sim<number> => get(at) + 1).run(2), use(3), use(4, one), use(5, one, { more: one })].join(); }`,
  ),
  snippet('first line', `export function main(): Sim<unknown> { return get(1) }`),
];
