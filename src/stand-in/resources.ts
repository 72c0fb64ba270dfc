import { message, number, oneOf, optional, repeated, required, string, type Read } from './proto.js';

const range = message({ begin: required(number), end: required(number) });

export const resourceKind = message({
  name: required(string),
  type: optional(oneOf('SCALAR', 'RANGES', 'SET', 'TEXT')),
  role: optional(string),
  scalar: optional(message({ value: required(number) })),
  ranges: optional(message({ range: repeated(range) })),
});

/** A resource as the API has it. */
export type Resource = Read<typeof resourceKind>;
type Range = Read<typeof range>;

/** An amount of each resource: scalars rounded to thousandths, as in Mesos, and sets of numbers. */
export interface Resources {
  readonly scalars: Readonly<Record<string, number>>;
  readonly ranges: Readonly<Record<string, readonly Range[]>>;
}

export const noResources: Resources = { scalars: {}, ranges: {} };

const thousandths = (value: number) => Math.round(value * 1000) / 1000;

/**
 * Parses `cpus:2;mem:1024;ports:[31000-31100,31200-31200]`. A role in the name, as in `cpus(*):2`, is
 * dropped. Undefined when malformed.
 */
export function parseResources(text: string): Resources | undefined {
  const scalars: Record<string, number> = {};
  const ranges: Record<string, Range[]> = {};
  for (const part of text.split(';').filter((item) => item.trim() !== '')) {
    const match = /^\s*([a-z_]+)(?:\([^)]*\))?\s*:\s*(.+?)\s*$/.exec(part);
    const name = match?.[1];
    const value = match?.[2];
    if (name === undefined || value === undefined) return undefined;
    if (value.startsWith('[')) {
      const list = [...value.matchAll(/([0-9]+)\s*-\s*([0-9]+)/g)].map(([, begin, end]) => ({
        begin: Number(begin),
        end: Number(end),
      }));
      if (list.length === 0) return undefined;
      ranges[name] = list;
    } else {
      const amount = Number(value);
      if (!Number.isFinite(amount) || amount < 0) return undefined;
      scalars[name] = thousandths(amount);
    }
  }
  return { scalars, ranges };
}

export function fromApi(list: readonly Resource[]): Resources {
  let total = noResources;
  for (const { name, scalar, ranges } of list) {
    if (scalar) total = add(total, { scalars: { [name]: scalar.value }, ranges: {} });
    if (ranges) total = add(total, { scalars: {}, ranges: { [name]: ranges.range } });
  }
  return total;
}

/** As listed by the v1 API; `allocated` adds the allocation role. */
export function toApi(resources: Resources, allocated = false): Resource[] {
  const role = { role: '*', ...(allocated && { allocation_info: { role: '*' } }) };
  return [
    ...inOrder(Object.entries(resources.scalars))
      .filter(([, value]) => value > 0)
      .map(([name, value]) => ({ name, type: 'SCALAR' as const, scalar: { value }, ...role })),
    ...inOrder(Object.entries(resources.ranges))
      .filter(([, range]) => range.length > 0)
      .map(([name, list]) => ({ name, type: 'RANGES' as const, ranges: { range: list }, ...role })),
  ];
}

/** The form of `/state`: `{"cpus":2,"mem":1024,"disk":0,"gpus":0,"ports":"[31000-31100]"}`. */
export function toState(resources: Resources): Record<string, number | string> {
  return {
    disk: 0,
    mem: 0,
    gpus: 0,
    cpus: 0,
    ...resources.scalars,
    ...Object.fromEntries(
      Object.entries(resources.ranges)
        .filter(([, list]) => list.length > 0)
        .map(([name, list]) => [name, rangesText(list)]),
    ),
  };
}

/** The form of error messages and logs: `cpus(*):2; mem(*):1024; ports(*):[31000-31100]`. */
export function toText(resources: Resources, role = '(*)'): string {
  return [
    ...inOrder(Object.entries(resources.scalars))
      .filter(([, value]) => value > 0)
      .map(([name, value]) => `${name}${role}:${value}`),
    ...inOrder(Object.entries(resources.ranges))
      .filter(([, list]) => list.length > 0)
      .map(([name, list]) => `${name}${role}:${rangesText(list)}`),
  ].join('; ');
}

function rangesText(list: readonly Range[]): string {
  return `[${list.map(({ begin, end }) => `${begin}-${end}`).join(', ')}]`;
}

const order = ['cpus', 'gpus', 'mem', 'disk', 'ports'];

function inOrder<T>(entries: readonly (readonly [string, T])[]): (readonly [string, T])[] {
  const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length);
  return [...entries].sort(([left], [right]) => rank(left) - rank(right));
}

export function add(left: Resources, right: Resources): Resources {
  return combine(left, right, (one, other) => thousandths(one + other), unite);
}

/** `left` minus `right`; amounts do not fall below zero. */
export function subtract(left: Resources, right: Resources): Resources {
  return combine(left, right, (one, other) => Math.max(0, thousandths(one - other)), without);
}

export function sum(all: readonly Resources[]): Resources {
  return all.reduce(add, noResources);
}

export function contains(whole: Resources, part: Resources): boolean {
  const scalarsFit = Object.entries(part.scalars).every(
    ([name, value]) => value <= thousandths(whole.scalars[name] ?? 0),
  );
  return (
    scalarsFit &&
    Object.entries(part.ranges).every(([name, list]) => without(list, whole.ranges[name] ?? []).length === 0)
  );
}

/** Enough for an offer: Mesos' minimum is 0.01 CPU or 32 MB. */
export function isOfferable({ scalars }: Resources): boolean {
  return (scalars['cpus'] ?? 0) >= 0.01 || (scalars['mem'] ?? 0) >= 32;
}

function combine(
  left: Resources,
  right: Resources,
  amounts: (left: number, right: number) => number,
  lists: (left: readonly Range[], right: readonly Range[]) => Range[],
): Resources {
  const names = <T>(one: Readonly<Record<string, T>>, other: Readonly<Record<string, T>>) => [
    ...new Set([...Object.keys(one), ...Object.keys(other)]),
  ];
  return {
    scalars: Object.fromEntries(
      names(left.scalars, right.scalars).map((name) => [
        name,
        amounts(left.scalars[name] ?? 0, right.scalars[name] ?? 0),
      ]),
    ),
    ranges: Object.fromEntries(
      names(left.ranges, right.ranges).map((name) => [
        name,
        lists(left.ranges[name] ?? [], right.ranges[name] ?? []),
      ]),
    ),
  };
}

function unite(left: readonly Range[], right: readonly Range[]): Range[] {
  const sorted = [...left, ...right].sort((one, other) => one.begin - other.begin);
  const result: Range[] = [];
  for (const next of sorted) {
    const last = result.at(-1);
    if (last && next.begin <= last.end + 1) {
      result[result.length - 1] = { begin: last.begin, end: Math.max(last.end, next.end) };
    } else {
      result.push(next);
    }
  }
  return result;
}

function without(left: readonly Range[], right: readonly Range[]): Range[] {
  return right.reduce<Range[]>(
    (rest, hole) =>
      rest.flatMap(({ begin, end }) => {
        if (hole.end < begin || hole.begin > end) return [{ begin, end }];
        return [
          ...(hole.begin > begin ? [{ begin, end: hole.begin - 1 }] : []),
          ...(hole.end < end ? [{ begin: hole.end + 1, end }] : []),
        ];
      }),
    [...left],
  );
}
