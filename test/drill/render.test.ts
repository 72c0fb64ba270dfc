import { describe, expect, it } from 'vitest';
import { conclude } from '../../src/drill/decide.js';
import { evidenceSvg } from '../../src/drill/svg.js';
import { evidenceText, offset } from '../../src/drill/text.js';
import { conclusionOf, drillPlan, recovery } from '../support/drill.js';

const evidence = conclude(conclusionOf());

it('prints times with their sign', () => {
  expect([offset(520), offset(-1_000), offset(0)]).toEqual(['+0.52 s', '-1.00 s', '+0.00 s']);
});

describe('the text', () => {
  it('has the verdict, each host, the timeline and the invariants', () => {
    expect(evidenceText(evidence)).toBe(`drill 1: node-kill of node0: passed; recovered in 1s, budget 3s

begun 1970-01-01T00:01:40.000Z, standby warm

  through  back after  longest dark  failed requests  websocket
  h1       1s          1s            20               cut
  h2       1s          1s            20               cut
  h3       1s          1s            20               cut

after the fault
     -0.95 s  node0 leads etcd, term 2
     -0.90 s  Jupyter responds on node0
     +0.00 s  SIGKILL to node0 on h1
     +0.10 s  Jupyter on node0 no longer responds
     +0.50 s  node1 leads etcd, term 3
     +0.80 s  Jupyter responds on node1
     +1.00 s  h1 responds again
     +1.00 s  h2 responds again
     +1.00 s  h3 responds again
     +4.00 s  nothing to heal
     +5.00 s  the cluster is healthy

invariants
  ok  etcd  etcd is healthy: 5 members, node1 leads
`);
  });

  it('reports why a drill failed', () => {
    const text = evidenceText(conclude(conclusionOf({ plan: drillPlan({ budgetMs: 900 }) })));
    expect(text).toContain('FAILED');
    expect(text).toContain('  ! recovery took 1s, over the budget of 900ms');
  });
});

describe('the picture', () => {
  it('has a lane per host, and escapes texts of hosts and errors', () => {
    const svg = evidenceSvg({ ...evidence, target: '<script>"&' });
    for (const host of ['h1', 'h2', 'h3']) expect(svg).toContain(`>${host}</text>`);
    expect(svg).not.toContain('<script>');
    expect(svg.match(/class="span-failed" x="[\d.]+" y="\d+" width="[\d.]+" height="18"/g)).toHaveLength(3);
    expect(svg).toContain('prefers-color-scheme: dark');
  });

  it('places labels without overlaps', () => {
    const busy = recovery();
    const events = [
      ...busy.events,
      ...Array.from({ length: 14 }, (_, index) => ({
        at: 101_000 + index * 370,
        kind: 'leader' as const,
        subject: `node${index % 5}`,
        term: 3 + index,
        what: `node${index % 5} leads etcd, term ${3 + index}`,
      })),
    ];
    const svg = evidenceSvg(conclude(conclusionOf({ recovery: { ...busy, events } })));
    const label = /<text class="label" x="([\d.]+)" y="(\d+)" text-anchor="(\w+)">([^<]*)</g;
    const boxes = [...svg.matchAll(label)].map(([, x, y, anchor, text = '']) => {
      const wide = text.length * 6.5;
      const left = anchor === 'start' ? Number(x) : Number(x) - wide;
      return { y: Number(y), left, right: left + wide };
    });
    expect(boxes.length).toBeGreaterThan(15);
    for (const a of boxes) {
      expect(a.left).toBeGreaterThanOrEqual(0);
      expect(a.right).toBeLessThanOrEqual(960);
      for (const b of boxes) {
        if (a === b || a.y !== b.y) continue;
        expect(a.right < b.left || a.left > b.right, JSON.stringify([a, b])).toBe(true);
      }
    }
  });
});
