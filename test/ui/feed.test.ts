import { expect, it, vi } from 'vitest';
import { Feed, type Calm } from '../../src/ui/feed.js';

/** A feed whose cluster is what the test says, and what a viewer has received. */
function feedOf(options: { readonly calm?: Calm<string> } = {}) {
  const world = { view: 'a', observations: 0 };
  const feed = new Feed<string>({
    observe: async () => {
      world.observations += 1;
      if (world.view === 'broken') throw new Error('no key');
      return world.view;
    },
    intervalMs: 5,
    ...options,
  });
  return { world, feed };
}

const events = (texts: readonly string[], name: string) =>
  texts.filter((text) => text.includes(`event: ${name}\n`));
const idOf = (text: string) => /^id: (.*)$/m.exec(text)?.[1];

it('observes for viewers alone, and stops when the last one leaves', async () => {
  const { world, feed } = feedOf();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(world.observations).toBe(0);
  const leave = feed.subscribe(() => undefined);
  await vi.waitFor(() => expect(world.observations).toBeGreaterThan(2));
  leave();
  await vi.waitFor(async () => {
    const { observations } = world;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(world.observations).toBe(observations);
  });
});

it('observes once for all viewers', async () => {
  let isObserving = 0;
  const received = Array.from({ length: 50 }, () => [] as string[]);
  const feed = new Feed<string>({
    observe: async () => {
      isObserving += 1;
      expect(isObserving).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 2));
      isObserving -= 1;
      return 'a';
    },
    intervalMs: 5,
  });
  received.forEach((texts) => feed.subscribe((text) => texts.push(text)));
  await Promise.all([feed.latest(), feed.latest()]);
  await vi.waitFor(() => expect(received.every((texts) => events(texts, 'view').length === 1)).toBe(true));
  feed.close();
});

it('sends the whole view when it changes, and otherwise that it was observed', async () => {
  const { world, feed } = feedOf();
  const texts: string[] = [];
  feed.subscribe((text) => texts.push(text));
  await vi.waitFor(() => expect(events(texts, 'same').length).toBeGreaterThan(1));
  expect(events(texts, 'view')).toHaveLength(1);
  world.view = 'b';
  await vi.waitFor(() => expect(events(texts, 'view')).toHaveLength(2));
  const [first = '', second = ''] = events(texts, 'view');
  expect(second).toContain('"view":"b"');
  expect(idOf(second)).not.toBe(idOf(first));
  feed.close();
});

it('spares a viewer that connects again what it knows, and gives the newest to any other', async () => {
  const { world, feed } = feedOf();
  const texts: string[] = [];
  feed.subscribe((text) => texts.push(text));
  await vi.waitFor(() => expect(texts.length).toBeGreaterThan(0));
  const first = idOf(texts[0] ?? '');
  const again: string[] = [];
  feed.subscribe((text) => again.push(text), first);
  expect(again[0]).toContain('event: same');
  world.view = 'b';
  await vi.waitFor(() => expect(events(texts, 'view')).toHaveLength(2));
  for (const id of [first, undefined, 'of-another-process-1']) {
    const late: string[] = [];
    feed.subscribe((text) => late.push(text), id);
    expect(late[0]).toContain('"view":"b"');
  }
  feed.close();
});

it('says since when the cluster cannot be observed, and goes on when it can', async () => {
  const { world, feed } = feedOf();
  const texts: string[] = [];
  world.view = 'broken';
  feed.subscribe((text) => texts.push(text));
  await vi.waitFor(() => expect(events(texts, 'failed').length).toBeGreaterThan(1));
  const sinces = events(texts, 'failed').map((text) => /"since":"([^"]+)"/.exec(text)?.[1]);
  expect(new Set(sinces).size).toBe(1);
  expect(texts[0]).toContain('no key');
  await expect(feed.latest()).rejects.toThrow('no key');
  world.view = 'a';
  await vi.waitFor(() => expect(events(texts, 'view')).toHaveLength(1));
  feed.close();
});

it('observes seldom while all is calm, and at once when something beats', async () => {
  let beat = 0;
  const calm = { isCalm: (view: string) => view === 'a', pulse: async () => String(beat), longestMs: 60_000 };
  const { world, feed } = feedOf({ calm });
  feed.subscribe(() => undefined);
  // The first beat is new.
  await vi.waitFor(() => expect(world.observations).toBe(2));
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(world.observations).toBe(2);
  beat = 1;
  await vi.waitFor(() => expect(world.observations).toBe(3));
  world.view = 'troubled';
  beat = 2;
  await vi.waitFor(() => expect(world.observations).toBeGreaterThan(6));
  feed.close();
});
